//! How it is minimised: the loop on one page, optimisers, schedules.
