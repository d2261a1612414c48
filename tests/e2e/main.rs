//! End-to-end tests: the real binary, real processes, a real store. One file for each concern.

mod services;
