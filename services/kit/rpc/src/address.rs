use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use tokio::sync::watch;

use crate::InProcess;

/// Where a service is.
#[derive(Clone, Debug)]
pub enum Target {
    /// A host's name or address, and a port. A name is looked up again every second.
    Address {
        /// A DNS name or an IP address.
        host: String,
        /// The port.
        port: u16,
    },
    /// Addresses that are known without a name, and their changes.
    Addresses(watch::Receiver<Vec<SocketAddr>>),
    /// In this process.
    InProcess(InProcess),
}

/// Not an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is not an address: it must be like some-host:50051 or 127.0.0.1:50051, or a list like 10.0.0.1:50051,10.0.0.2:50051",
            self.0
        )
    }
}

impl std::error::Error for AddressError {}

/// A service has some ten instances at the most where they are listed by hand; more than this is a mistake.
const MAX_LISTED: usize = 64;

/// Instances that are listed, each by its IP address and port.
fn listed(text: &str) -> Option<Target> {
    let addresses: Result<Vec<SocketAddr>, _> = text.split(',').map(str::parse).collect();
    let addresses = addresses.ok().filter(|listed| listed.len() <= MAX_LISTED)?;
    let is_right = addresses.iter().all(|address| address.port() > 0);
    // Nobody changes the list: its sender goes at once, and the list stays.
    is_right.then(|| Target::Addresses(watch::channel(addresses).1))
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        if text.contains(',') {
            return listed(text).ok_or_else(wrong);
        }
        let address = text.strip_prefix("http://").unwrap_or(text);
        let address = address.strip_suffix('/').unwrap_or(address);
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let right = match bare {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let letter = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
                !host.is_empty() && host.len() <= 253 && host.bytes().all(letter)
            }
        };
        if right { Ok(Self::Address { host: bare.unwrap_or(host).to_owned(), port }) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_others_refused() {
        for (text, host, port) in [
            ("catalogue:50051", "catalogue", 50051),
            ("http://127.0.0.1:1", "127.0.0.1", 1),
            ("[::1]:50051", "::1", 50051),
            ("cart.shop.svc.cluster.local:50052", "cart.shop.svc.cluster.local", 50052),
        ] {
            let Ok(Target::Address { host: read, port: at }) = text.parse() else { panic!("{text}") };
            assert_eq!((read.as_str(), at), (host, port));
        }
        let Ok(Target::Addresses(listed)) = "127.0.0.1:1,[::1]:2".parse() else { panic!("a list") };
        assert_eq!(*listed.borrow(), ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
        let many = vec!["127.0.0.1:1"; MAX_LISTED + 1].join(",");
        for text in [&*many, "127.0.0.1:1,", ",127.0.0.1:1", "127.0.0.1:1,127.0.0.1:0", "127.0.0.1:1,catalogue:1"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        for text in ["", "catalogue", ":1", "a:0", "a:65536", "a b:1", "[::g]:1", "https://a:1", "a:1/x"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
