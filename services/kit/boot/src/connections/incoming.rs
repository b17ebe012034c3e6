//! Connections as tonic takes them.

use std::convert::Infallible;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::net::TcpStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::{Connection, Listener};
use crate::Life;

/// What a client of HTTP/2 says first, by bytes (RFC 9113, 3.4)…
const PREFACE: usize = 24;
/// … and the time for it, in which a packet may be lost and sent again.
const PREFACE_WITHIN: Duration = Duration::from_secs(5);

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpStream::connect_info(self.stream())
    }
}

/// The connections of `listener`, for a server that speaks HTTP/2 alone. None fails: tonic tries again at once after a
/// failure, for as long as it lasts. Once the end of `life` has begun, who doesn't answer the farewell is parted with.
pub fn incoming(listener: Listener, life: &Life) -> impl Stream<Item = Result<Connection, Infallible>> + use<> {
    listener.part_at_the_end(life, true);
    stream::unfold(listener, async |listener| {
        let (connection, _) = listener.accept().await;
        Some((Ok(connection.opens_by(PREFACE, PREFACE_WITHIN)), listener))
    })
}
