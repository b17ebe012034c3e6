//! A PostgreSQL address, as libpq reads it: several servers, and which of them is wanted. sqlx reads what is left.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr as _;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::form_urlencoded;

use crate::wanted::Wanted;

/// Servers of one address at the most: each that is silent is waited for in turn. Patroni's clusters have three to five.
const MAX_SERVERS: usize = 16;

/// What may be said of a file of authorities, which sqlx knows by three names.
const ROOT_CERT: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];
/// The other parameters that sqlx knows, without those that are read here.
const KNOWN: [&str; 10] = [
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
/// Parameters of libpq that ask for a protection which isn't to be had here. To ignore them would be to be less safe than was
/// asked for, unless their value asks for nothing.
const PROTECTIONS: [&str; 6] = ["channel_binding", "gssencmode", "require_auth", "requirepeer", "sslcrl", "sslcrldir"];
const NO_PROTECTION: [&str; 4] = ["", "disable", "prefer", "allow"];

/// What an address says.
#[derive(Debug)]
pub(crate) struct Address {
    /// What a connection to each server is made with, in the order of the address; at least one.
    pub(crate) servers: Vec<PgConnectOptions>,
    pub(crate) wanted: Wanted,
}

/// What is wrong with an address, and what to do about it. It has no part of the address that may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database address {0}")]
pub(crate) struct AddressError(String);

fn wrong<T>(why: impl Into<String>) -> Result<T, AddressError> {
    Err(AddressError(why.into()))
}

fn unreadable() -> AddressError {
    AddressError("can't be read; it must be like postgres://user@host/database".into())
}

impl Address {
    /// Reads `postgres://user:password@host:port,host:port/database?parameters`.
    pub(crate) fn parse(url: &str) -> Result<Self, AddressError> {
        let parts = Parts::of(url)?;
        let query = Query::parse(parts.query)?;
        let servers = servers(parts.hosts, &query)?;
        let user = if parts.user.is_empty() { String::new() } else { format!("{}@", parts.user) };
        let parse = |server: &Server| {
            let (host, port) = (server.in_url(), server.port);
            // With its host in it, for the password file of libpq has passwords by host.
            let text = format!("postgres://{user}{host}:{port}{}?{}", parts.path, query.rest);
            let options = PgConnectOptions::from_str(&text).map_err(|_| unreadable())?;
            let options = if server.is_socket() { options.socket(&server.host) } else { options.host(&server.host) };
            Ok(query.apply(options))
        };
        let servers = servers.iter().map(parse).collect::<Result<_, _>>()?;
        let wanted = match query.wanted {
            Some(wanted) => wanted,
            None => std::env::var("PGTARGETSESSIONATTRS").map_or(Ok(Wanted::Any), |wanted| wanted_of(&wanted))?,
        };
        Ok(Self { servers, wanted })
    }
}

/// The password of an address, before its hosts or among its parameters, if it has one. An error never has any of it.
pub(crate) fn password(url: &str) -> Result<Option<String>, &'static str> {
    let unreadable = "it has an address that can't be read";
    let parts = Parts::of(url).map_err(|_| unreadable)?;
    for host in parts.hosts.split(',') {
        host_and_port(host).map_err(|_| unreadable)?;
    }
    if let Some((_, password)) = parts.user.split_once(':') {
        let decoded = percent_decode_str(password).decode_utf8();
        return decoded.map(|password| Some(password.into())).map_err(|_| "the password of its address isn't UTF-8");
    }
    let parameter = form_urlencoded::parse(parts.query.as_bytes()).find(|(name, _)| name == "password");
    Ok(parameter.map(|(_, password)| password.into_owned()))
}

/// An address, cut where its punctuation is.
struct Parts<'a> {
    /// With the password.
    user: &'a str,
    hosts: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self, AddressError> {
        let (_, rest) = url.split_once("://").ok_or_else(unreadable)?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let tail = tail.split('#').next().unwrap_or_default();
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        Ok(Self { user, hosts, path, query })
    }
}

/// The parameters of an address.
#[derive(Default)]
struct Query {
    hosts: Option<String>,
    ports: Option<String>,
    wanted: Option<Wanted>,
    ssl_mode: Option<PgSslMode>,
    has_root_cert: bool,
    /// Those that are for sqlx, encoded.
    rest: String,
}

impl Query {
    fn parse(text: &str) -> Result<Self, AddressError> {
        let mut query = Self { has_root_cert: std::env::var_os("PGSSLROOTCERT").is_some(), ..Self::default() };
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "host" => query.hosts = Some(value.into_owned()),
                "hostaddr" => {
                    if value.split(',').any(|address| address.parse::<IpAddr>().is_err()) {
                        return wrong("must have IP addresses in its hostaddr; a host's name goes into host");
                    }
                    query.hosts = Some(value.into_owned());
                }
                "port" => query.ports = Some(value.into_owned()),
                "target_session_attrs" => query.wanted = Some(wanted_of(&value)?),
                "sslmode" | "ssl-mode" => query.ssl_mode = Some(ssl_mode(&value)?),
                "statement-cache-capacity" if value.parse::<usize>().is_err() => {
                    return wrong(format!("must have a number in its statement-cache-capacity, and has '{value}'"));
                }
                known if ROOT_CERT.contains(&known) || KNOWN.contains(&known) || known.starts_with("options[") => {
                    query.has_root_cert |= ROOT_CERT.contains(&known);
                    rest.append_pair(known, &value);
                }
                protection if PROTECTIONS.contains(&protection) && !NO_PROTECTION.contains(&&*value) => {
                    return wrong(format!("asks for {protection}, which isn't supported: take it out"));
                }
                // Never its value: it may be a password, as sslpassword's is.
                other => tracing::warn!(parameter = other, "a parameter of the database's address is ignored"),
            }
        }
        query.rest = rest.finish();
        Ok(query)
    }

    fn apply(&self, options: PgConnectOptions) -> PgConnectOptions {
        let options = self.ssl_mode.into_iter().fold(options, PgConnectOptions::ssl_mode);
        // Who names an authority wants to be sure of it: so libpq reads it, and sqlx only says that it does.
        if self.has_root_cert && matches!(options.get_ssl_mode(), PgSslMode::Require) {
            return options.ssl_mode(PgSslMode::VerifyCa);
        }
        options
    }
}

fn wanted_of(text: &str) -> Result<Wanted, AddressError> {
    Wanted::parse(text).ok_or_else(|| {
        AddressError(format!(
            "must say any, read-write, read-only, primary, standby or prefer-standby as its target_session_attrs, and says '{text}'"
        ))
    })
}

fn ssl_mode(text: &str) -> Result<PgSslMode, AddressError> {
    text.parse().map_err(|_| {
        AddressError(format!(
            "must say disable, allow, prefer, require, verify-ca or verify-full as its sslmode, and says '{text}'"
        ))
    })
}

/// Where one server is.
struct Server {
    /// A name, an address without brackets, or the folder of a socket.
    host: String,
    port: u16,
}

impl Server {
    fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    fn in_url(&self) -> String {
        match self.host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => utf8_percent_encode(&self.host, NON_ALPHANUMERIC).to_string().replace("%2E", "."),
        }
    }
}

/// The servers: those of the parameters before those in front of the database, and the environment's if neither names any.
fn servers(hosts: &str, query: &Query) -> Result<Vec<Server>, AddressError> {
    let default = PgConnectOptions::new_without_pgpass();
    let list = match &query.hosts {
        Some(hosts) => hosts.split(',').map(|host| Ok((host.to_owned(), None))).collect::<Result<Vec<_>, _>>(),
        None => hosts.split(',').map(host_and_port).collect(),
    }?;
    let ports = query.ports.as_deref().map_or_else(|| Ok(Vec::new()), |ports| ports.split(',').map(port).collect())?;
    if list.len() > MAX_SERVERS {
        return wrong(format!("names {} servers, and {MAX_SERVERS} are the most", list.len()));
    }
    if ports.len() > 1 && ports.len() != list.len() {
        return wrong(format!("has {} ports for {} hosts: name one for all, or one for each", ports.len(), list.len()));
    }
    let servers = list.into_iter().enumerate().map(|(index, (host, own))| Server {
        host: if host.is_empty() { default.get_host().to_owned() } else { host },
        port: ports.get(index).or(ports.first()).copied().flatten().or(own).unwrap_or_else(|| default.get_port()),
    });
    Ok(servers.collect())
}

/// `host`, `host:port`, `[address]` or `[address]:port`.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), AddressError> {
    let (host, after) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or_else(unreadable)?;
            address.parse::<Ipv6Addr>().map_err(|_| unreadable())?;
            (address, after.strip_prefix(':').or_else(|| after.is_empty().then_some("")).ok_or_else(unreadable)?)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let host = percent_decode_str(host).decode_utf8().map_err(|_| unreadable())?;
    if after.contains(':') {
        return wrong(
            "has a host with several colons: an IPv6 address stands in brackets, as in postgres://user@[::1]/database",
        );
    }
    Ok((host.into_owned(), port(after)?))
}

/// A port; none where nothing is said.
fn port(text: &str) -> Result<Option<u16>, AddressError> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(port) if port > 0 => Ok(Some(port)),
        // What stands there may be the end of a password with an @ in it.
        _ => wrong("has a port that isn't one: it must be 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(url: &str) -> Vec<(String, u16)> {
        let servers = Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}")).servers;
        let place = |server: &PgConnectOptions| match server.get_socket() {
            Some(folder) => (folder.display().to_string(), server.get_port()),
            None => (server.get_host().to_owned(), server.get_port()),
        };
        servers.iter().map(place).collect()
    }

    #[test]
    fn servers_are_named_as_libpq_has_them() {
        for (url, expected) in [
            ("postgres://u:p@h1:5433/db", vec![("h1", 5433)]),
            ("postgresql://u@h1:5432,h2:5433/db", vec![("h1", 5432), ("h2", 5433)]),
            ("postgres://h1,h2.example.org:5433", vec![("h1", 5432), ("h2.example.org", 5433)]),
            ("postgres://u@[::1]/db", vec![("::1", 5432)]),
            ("postgres://u@[::1]:5433,127.0.0.1/db", vec![("::1", 5433), ("127.0.0.1", 5432)]),
            ("postgres:///db?host=h1,h2&port=5433", vec![("h1", 5433), ("h2", 5433)]),
            ("postgres://u@/db?host=h1,h2&port=5433,5434", vec![("h1", 5433), ("h2", 5434)]),
            ("postgres://%2Frun%2Fpostgres/db", vec![("/run/postgres", 5432)]),
            ("postgres:///db?host=/run/postgres&port=5433", vec![("/run/postgres", 5433)]),
            ("postgres:///db?hostaddr=::1,10.0.0.1", vec![("::1", 5432), ("10.0.0.1", 5432)]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(host, port)| (host.to_owned(), port)).collect();
            assert_eq!(places(url), expected, "{url}");
        }
    }

    #[test]
    fn what_else_an_address_says_is_said_of_each_server() {
        let url =
            "postgres://us%40er:pa%2Fss@h1,h2/da%20ta?sslmode=require&options[search_path]=shop&application_name=a+b";
        let address = Address::parse(url).unwrap();
        assert_eq!((address.servers.len(), address.wanted), (2, Wanted::Any));
        for server in &address.servers {
            assert_eq!((server.get_username(), server.get_database()), ("us@er", Some("da ta")));
            assert_eq!(server.get_options(), Some("-c search_path=shop"));
            assert_eq!(server.get_application_name(), Some("a b"));
            assert!(matches!(server.get_ssl_mode(), PgSslMode::Require));
        }
    }

    #[test]
    fn an_authority_that_is_named_is_asked() {
        let mode =
            |query: &str| Address::parse(&format!("postgres://u@h/db?{query}")).unwrap().servers[0].get_ssl_mode();
        assert!(matches!(mode("sslmode=require&sslrootcert=ca.crt"), PgSslMode::VerifyCa));
        assert!(matches!(mode("ssl-ca=ca.crt&ssl-mode=require"), PgSslMode::VerifyCa));
        assert!(matches!(mode("sslmode=require"), PgSslMode::Require));
        assert!(matches!(mode("sslmode=verify-full&sslrootcert=ca.crt"), PgSslMode::VerifyFull));
        assert!(matches!(mode("sslrootcert=ca.crt"), PgSslMode::Prefer));
    }

    #[test]
    fn what_is_wrong_is_named_with_the_remedy_and_without_the_password() {
        for (address, why) in [
            ("postgres:u", "it must be like postgres://user@host/database"),
            ("postgres://u:hunter2@[::1:bad/db", "it must be like"),
            ("postgres://u:hunter2@[::x]/db", "it must be like"),
            ("postgres://u:hunter2@[::1]5432/db", "it must be like"),
            ("postgres://u:hunter2@::1/db", "stands in brackets"),
            ("postgres://u:hunter2@h:0/db", "1 to 65535"),
            ("postgres://u@h:hunter2/db", "1 to 65535"),
            ("postgres://u:hunter2@h1,h2,h3/db?port=1,2", "2 ports for 3 hosts"),
            ("postgres://u:hunter2@h/db?target_session_attrs=master", "read-write, read-only, primary"),
            ("postgres://u:hunter2@h/db?sslmode=on", "verify-full as its sslmode, and says 'on'"),
            ("postgres://u:hunter2@h/db?hostaddr=h2", "a host's name goes into host"),
            ("postgres://u:hunter2@h/db?channel_binding=require", "take it out"),
            ("postgres://u:hunter2@h/db?sslcrl=crl.pem", "asks for sslcrl"),
            ("postgres://u:hunter2@h/db?statement-cache-capacity=many", "a number"),
            (&format!("postgres://u:hunter2@{}/db", ["h"; 17].join(",")), "16 are the most"),
        ] {
            let said = Address::parse(address).expect_err(address).to_string();
            assert!(said.starts_with("the database address ") && said.contains(why), "{address}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        Address::parse("postgres://u@h/db?channel_binding=prefer&sslcrl=&connect_timeout=3")
            .expect("nothing is asked for");
    }
}
