//! What is kept: run folders, written aside and renamed.
