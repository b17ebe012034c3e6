//! The pool on real databases, the same on both engines where the engine doesn't matter.

mod cancel;
mod drill;
mod each;
mod entity;
mod failover;
mod gate;
mod live;
mod log;
mod measured;
mod migrations;
mod outcome;
mod pooler;
mod postgres;
mod roles;
mod sessions;
mod silent;
mod spans;
mod sqlite;
mod tls;
mod transactions;
mod watchdogs;
