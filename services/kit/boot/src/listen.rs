//! Listening on an address, with errors that say what to do.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use tokio::net::TcpListener;

/// Where a process listens unless told otherwise: on this machine alone.
pub(crate) fn here(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Listens on `address`; `flag` is the option that sets it, for the message.
///
/// # Errors
/// In words: the port is taken, needs root, or the address isn't this machine's.
pub async fn tcp(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "port {} is taken: another program (or another shop) listens on {address}; stop it or choose another with {flag}",
            address.port()
        ),
        ErrorKind::PermissionDenied => {
            anyhow!("port {} may not be used by this user; choose one above 1023 with {flag}", address.port())
        }
        ErrorKind::AddrNotAvailable => anyhow!("{} is not an address of this machine; see {flag}", address.ip()),
        _ => anyhow!(error),
    })
    .with_context(|| format!("can't listen on {address}"))
}
