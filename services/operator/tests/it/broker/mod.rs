//! The broker and processes' pools, over real gRPC and on a real PostgreSQL. What is granted is a script.

pub(crate) mod fixture;
mod many;
mod pools;
mod refused;
mod streams;
