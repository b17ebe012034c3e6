//! What travels with a request through a task, so that layers which don't know each other can agree on it: the moment
//! by which the caller wants its answer, and whether a database connection is held just now. Beside
//! them stands the clock that is passed in.
//!
//! It is a crate of its own so that the pool needn't know gRPC and the gRPC client needn't know the database.

pub mod clock;
pub mod deadline;
pub mod lease;
