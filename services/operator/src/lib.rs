//! The operator: replicas and pools scaled on saturation, within the connections that a database has.
//!
//! `domain` decides, and is pure: it is told what was observed and what time it is, and says what is to be done. `broker`
//! hears the processes, and sends them what they are granted.

pub mod broker;
pub mod domain;
