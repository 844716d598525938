//! What is minimised: a value and its gradient from a target and an output.
