//! The servers of an address, and how one of them is chosen.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Error};
use tokio::time::timeout;

use crate::address::Address;
use crate::failure;
use crate::wanted::{Role, Wanted};

/// What speaks to a server.
pub(crate) trait Session: Send + Sized {
    fn make(options: PgConnectOptions) -> impl Future<Output = Result<Self, Error>> + Send;
    fn role(&mut self) -> impl Future<Output = Result<Role, Error>> + Send;
    fn close(self) -> impl Future<Output = ()> + Send;
}

impl Session for PgConnection {
    async fn make(options: PgConnectOptions) -> Result<Self, Error> {
        options.connect().await
    }

    async fn role(&mut self) -> Result<Role, Error> {
        Role::of(self).await
    }

    async fn close(self) {
        let _ = sqlx::Connection::close(self).await;
    }
}

/// A pool of sqlx's with one connection, which stays the same one.
impl Session for PgPool {
    async fn make(options: PgConnectOptions) -> Result<Self, Error> {
        // By itself first: sqlx's pool tries until its time is over, and then says no more than that it is.
        sqlx::Connection::close(options.connect().await?).await?;
        let one = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        one.connect_with(options).await
    }

    async fn role(&mut self) -> Result<Role, Error> {
        Role::of(&*self).await
    }

    async fn close(self) {
        Self::close(&self).await;
    }
}

/// The servers of an address.
pub(crate) struct Servers {
    servers: Vec<PgConnectOptions>,
    wanted: Wanted,
    /// The one that was right last.
    last: AtomicUsize,
    /// That connections aren't encrypted was said.
    said_plain: AtomicBool,
}

impl Servers {
    /// Those of `address`, with `settings` applied to each.
    pub(crate) fn of(address: Address, settings: impl FnMut(PgConnectOptions) -> PgConnectOptions) -> Self {
        let Address { servers, wanted } = address;
        let servers = servers.into_iter().map(settings).collect();
        Self { servers, wanted, last: AtomicUsize::new(0), said_plain: AtomicBool::new(false) }
    }

    pub(crate) fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// What is said to each server, in the order of the address; at least one.
    pub(crate) fn each(&self) -> &[PgConnectOptions] {
        &self.servers
    }

    /// How long it may take to come to an end with each of them, where one has `each`.
    pub(crate) fn longest(&self, each: Duration) -> Duration {
        let tries = self.servers.len() * self.wanted.in_turn().len();
        each.saturating_mul(u32::try_from(tries).unwrap_or(u32::MAX))
    }

    /// A session with the first server that is as wanted; each has `each` for its answer.
    ///
    /// # Errors
    /// A server's own where there is one. Where there are several, or the one isn't as wanted, [`failure::NoServer`], with
    /// what is wrong with each. Who is refused a login isn't to be heard elsewhere, as libpq has it.
    pub(crate) async fn connect<S: Session>(&self, password: Option<&str>, each: Duration) -> Result<S, Error> {
        let mut failures = Vec::new();
        for wanted in self.wanted.in_turn() {
            for index in self.order() {
                let Some(server) = self.servers.get(index) else { continue };
                let options = password.into_iter().fold(server.clone(), PgConnectOptions::password);
                let tried = timeout(each, self.try_one(options, *wanted)).await;
                let error = match tried.unwrap_or_else(|_| Err(failure::silent("take the connection", each))) {
                    Ok(session) => {
                        self.last.store(index, Ordering::Relaxed);
                        return Ok(session);
                    }
                    Err(error) => error,
                };
                let is_refused = failure::sqlstate(&error).is_some_and(|state| state.starts_with("28"));
                if is_refused {
                    return Err(error);
                }
                failures.push((server, error));
            }
        }
        Err(none_of(failures))
    }

    /// Where a server must be of one kind, it is looked for first where it was last: a server that hangs before it in the
    /// list would cost each connection its time.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.servers.len();
        let first = if self.wanted.is_demanding() { self.last.load(Ordering::Relaxed) } else { 0 };
        (0..count).map(move |index| (first + index) % count)
    }

    async fn try_one<S: Session>(&self, options: PgConnectOptions, wanted: Wanted) -> Result<S, Error> {
        let mut session: S = self.make(options).await?;
        if wanted == Wanted::Any {
            return Ok(session);
        }
        let role = session.role().await?;
        if wanted.is(role) {
            return Ok(session);
        }
        session.close().await;
        Err(failure::no_server(role.in_words().to_owned()))
    }

    /// `sslmode=prefer`, which is the default, is without encryption where there can be none, as libpq has it: an old
    /// certificate (X.509 version 1) is one that rustls doesn't read.
    async fn make<S: Session>(&self, options: PgConnectOptions) -> Result<S, Error> {
        let prefers = matches!(options.get_ssl_mode(), PgSslMode::Prefer);
        let plain = options.clone().ssl_mode(PgSslMode::Disable);
        let error = match S::make(options).await {
            Err(error) if prefers && is_of_encryption(&error) => error,
            made => return made,
        };
        let made = S::make(plain).await;
        if made.is_ok() && !self.said_plain.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %error, "connections to the database aren't encrypted: its server's TLS is of no use");
        }
        // A server that takes nobody without encryption leaves the first reason.
        made.map_err(|plain| if failure::sqlstate(&plain).as_deref() == Some("28000") { error } else { plain })
    }
}

fn is_of_encryption(error: &Error) -> bool {
    // A certificate that isn't accepted comes as what can't be read.
    matches!(error, Error::Tls(_)) || matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::InvalidData)
}

/// Why none of the servers will do.
fn none_of(mut failures: Vec<(&PgConnectOptions, Error)>) -> Error {
    if let [_] = failures.as_slice()
        && let Some((server, error)) = failures.pop()
    {
        return if failure::is_no_server(&error) { failure::no_server(said_of(server, &error)) } else { error };
    }
    let said: Vec<_> = failures.iter().map(|(server, error)| said_of(server, error)).collect();
    failure::no_server(said.join("; "))
}

fn said_of(server: &PgConnectOptions, error: &Error) -> String {
    let place = match server.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => server.get_host().to_owned(),
    };
    let port = server.get_port();
    match error {
        Error::Io(what) if failure::is_no_server(error) => format!("{place}:{port} {what}"),
        Error::Io(why) => format!("{place}:{port}: {why}"),
        other => format!("{place}:{port}: {other}"),
    }
}
