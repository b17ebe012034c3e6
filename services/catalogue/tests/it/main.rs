//! The catalogue: one contract for both engines, and its rpcs through a real channel.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod cached;
mod change_log;
mod damaged;
mod edge;
mod goods;
mod import;
mod index;
mod judged;
mod lapse;
mod listing;
mod many;
mod oracle;
mod plain;
mod races;
mod reservations;
mod stored;
mod withdrawn;
