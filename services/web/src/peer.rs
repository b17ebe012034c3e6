//! Who is at the other end of a request's connection.

use std::net::SocketAddr;

/// Where a request's connection comes from: put into its extensions by the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);
