//! The gRPC edge: requests are parsed into the domain's words, answers put into the API's.

mod convert;
mod page;
mod parse;
mod server;

pub(crate) use server::Server;
