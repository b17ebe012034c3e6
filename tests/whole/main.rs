//! The whole shop, tested from outside: processes, databases, a browser, a client that we did not write.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests fail by panicking, and print what they found or skipped"
)]

mod access;
mod alerts;
mod attacks;
mod browse;
mod chart;
mod cluster;
mod crash;
mod dashboards;
mod decisions;
mod deploy;
mod ending;
mod figures;
mod granted;
mod grpcurl;
mod images;
mod keys;
mod ledger;
mod operations;
mod pages;
mod race;
mod ready;
mod rotation;
mod schema;
mod tidy;
mod traces;
mod trouble;
