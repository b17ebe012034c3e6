//! The operator with real parts.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "tests print what they found, and fail by panicking")]

mod broker;
