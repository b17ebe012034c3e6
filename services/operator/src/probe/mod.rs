//! A look at a database server: how long a fixed statement takes, what its settings are, who is connected and what their
//! backends wait for.
//!
//! The probe must never be what makes a database slow. So it has one connection; its statements are cheap, and the server
//! ends each after [`STATEMENT`]; no look takes longer than [`LOOK`]; and it opens a new connection no more often than it is
//! asked to look. A connection that a look was cut off on is closed.
//!
//! As long as it has its connection it isn't refused one, so that no slot is left shows in [`Observed::free`] too.

mod statements;

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::{Instant, sleep, timeout};

/// How long a statement may take before the server ends it. They take milliseconds; a server on which one takes a second is
/// as slow as one can be.
pub const STATEMENT: Duration = Duration::from_secs(1);

/// How long a look may take, a new connection included. Longer than [`STATEMENT`], so that it is the server that ends a
/// statement, and no backend of ours is left behind.
pub const LOOK: Duration = Duration::from_secs(3);

/// How often a look asks for the fixed statement, and the pause in between. What is told is the mean: a server whose container
/// is at its limit of processors answers at its old speed for the first milliseconds of each of the kernel's periods of
/// 100 ms, and stands still for the rest; and who asks it something else first waits for that until the next period begins,
/// and meets it awake. So nothing else is asked before, and the statements are spread over some periods, each at another
/// place in them.
const TIMES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(70);

/// A server that has taken so long for some of them isn't asked for more.
const ENOUGH: Duration = Duration::from_millis(700);

/// What the probe's connection is called in the server's list.
pub const APPLICATION: &str = "selvage-operator";

/// SQLSTATE of a server, or a role, that has no connection left.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// Looks at one database server.
pub struct Probe {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

/// What a look found.
#[derive(Clone, Debug)]
pub struct Look {
    /// When it began: what it found is at least so new.
    pub began: Instant,
    /// What it found.
    pub outcome: Outcome,
}

/// What came of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered.
    Answered(Box<Observed>),
    /// The server is there, and has no connection left for the probe.
    NoSlot(String),
    /// It can't be reached, doesn't answer in time, or refuses; why, for the log.
    Failed(String),
}

/// What a server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// How long the fixed statement took, its way there and back included: the mean of a few.
    pub statement: Duration,
    /// The server's settings.
    pub settings: Settings,
    /// Whether the role is shown what others do. Without pg_monitor it isn't, and what follows is of no use.
    pub sees_others: bool,
    /// Backends by their clients, without the probe's own.
    pub clients: BTreeMap<Client, u32>,
    /// The same backends by what they do.
    pub doing: BTreeMap<Doing, u32>,
    /// Who holds up others, the worst first, at most 5.
    pub blockers: Vec<Blocker>,
}

/// Who is at the other end of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    /// Its application_name.
    pub application: String,
    /// Its address, unless it is on the server's own machine.
    pub address: Option<String>,
}

/// How many connections a server takes, and for whom they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// max_connections.
    pub max_connections: u32,
    /// superuser_reserved_connections.
    pub superuser_reserved: u32,
    /// reserved_connections; 0 before PostgreSQL 16, which brought it.
    pub reserved: u32,
}

/// What a backend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doing {
    /// It computes: it runs a statement and waits for nothing.
    Cpu,
    /// It waits for the disk.
    Io,
    /// It waits for a lock that another transaction holds.
    Lock,
    /// It waits for its turn inside the server.
    LightweightLock,
    /// It waits for something else, in the middle of a statement.
    Other,
    /// It waits for its client's next statement, in a transaction.
    IdleInTransaction,
    /// It waits for its client's next statement.
    Idle,
}

/// A backend that holds up others, and waits for nobody itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Its process on the server.
    pub pid: i32,
    /// Its application_name.
    pub application: String,
    /// The beginning of its last statement.
    pub query: String,
    /// How many wait for it.
    pub blocked: u32,
}

impl Observed {
    /// Connections that the server has left for ordinary roles.
    pub fn free(&self) -> u32 {
        let Settings { max_connections, superuser_reserved, reserved } = self.settings;
        // The probe's own is one.
        let open = self.clients.values().sum::<u32>() + 1;
        max_connections.saturating_sub(superuser_reserved).saturating_sub(reserved).saturating_sub(open)
    }

    /// Backends by the boot id of the pod's run that they belong to, and the number of all others.
    pub fn by_boot(&self) -> (BTreeMap<&str, u32>, u32) {
        let (mut boots, mut others) = (BTreeMap::new(), 0);
        for (Client { application, .. }, count) in &self.clients {
            match boot_id(application) {
                Some(boot) => *boots.entry(boot).or_default() += count,
                None => others += count,
            }
        }
        (boots, others)
    }
}

/// The boot id in an application_name, if it is one of a pool of ours: `0a1b2c3d/shop-cart-7d9f`.
pub fn boot_id(application: &str) -> Option<&str> {
    let (boot, _) = application.split_once('/')?;
    let is_hex = |letter: char| letter.is_ascii_digit() || ('a'..='f').contains(&letter);
    (boot.len() == 8 && boot.chars().all(is_hex)).then_some(boot)
}

impl Probe {
    /// A probe of the server at this address, with a password where the address has none; nothing is opened yet.
    ///
    /// # Errors
    /// If the address is none of a PostgreSQL. It may have a password in it, and isn't repeated.
    pub fn new(url: &str, password: Option<&str>) -> anyhow::Result<Self> {
        let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
        anyhow::ensure!(is_postgres, "the address of the database must begin with postgres://");
        let options = PgConnectOptions::from_str(url).ok().context("the address of the database can't be read")?;
        // sqlx takes the brackets of an IPv6 address for a part of it.
        let host = options.get_host().trim_matches(['[', ']']).to_owned();
        let options = options.host(&host);
        let settings = [
            ("statement_timeout", STATEMENT.as_millis().to_string()),
            ("default_transaction_read_only", "on".to_owned()),
            // If the operator dies in the middle of a look, the server notices.
            ("client_connection_check_interval", "500".to_owned()),
            ("tcp_keepalives_idle", "10".to_owned()),
            ("tcp_keepalives_interval", "5".to_owned()),
            ("tcp_keepalives_count", "3".to_owned()),
        ];
        let options = options.application_name(APPLICATION).options(settings).disable_statement_logging();
        let options = password.into_iter().fold(options, PgConnectOptions::password);
        Ok(Self { options, connection: None })
    }

    /// Looks.
    pub async fn look(&mut self) -> Look {
        let began = Instant::now();
        // Taken out: if the look is cut off, its connection is gone with it.
        let connection = self.connection.take();
        let looked = timeout(LOOK, look(&self.options, connection)).await;
        let outcome = match looked {
            Ok(Ok((observed, connection))) => {
                self.connection = Some(connection);
                Outcome::Answered(Box::new(observed))
            }
            Ok(Err(error)) => failed(&error),
            Err(_) => Outcome::Failed(format!("no answer within {} s", LOOK.as_secs())),
        };
        Look { began, outcome }
    }

    /// Closes the connection.
    pub async fn close(mut self) {
        if let Some(connection) = self.connection.take() {
            // Whatever comes of it, it is gone.
            let _ = timeout(STATEMENT, connection.close()).await;
        }
    }
}

fn failed(error: &sqlx::Error) -> Outcome {
    let database = error.as_database_error();
    let why = database.map_or_else(|| error.to_string(), |error| error.message().to_owned());
    match database.and_then(sqlx::error::DatabaseError::code).as_deref() {
        Some(TOO_MANY_CONNECTIONS) => Outcome::NoSlot(why),
        _ => Outcome::Failed(why),
    }
}

async fn look(
    options: &PgConnectOptions,
    connection: Option<PgConnection>,
) -> Result<(Observed, PgConnection), sqlx::Error> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => options.connect().await?,
    };
    let statement = statement(&mut connection).await?;
    let settings = statements::settings(&mut connection).await?;
    let sees_others = statements::sees_others(&mut connection).await?;
    let (mut clients, mut doing) = (BTreeMap::new(), BTreeMap::new());
    for (client, what, count) in statements::backends(&mut connection).await? {
        *clients.entry(client).or_default() += count;
        *doing.entry(what).or_default() += count;
    }
    let is_blocked = doing.contains_key(&Doing::Lock);
    let blockers = if is_blocked { statements::blockers(&mut connection).await? } else { Vec::new() };
    Ok((Observed { statement, settings, sees_others, clients, doing, blockers }, connection))
}

/// How long the fixed statement takes, as the mean of [`TIMES`].
async fn statement(connection: &mut PgConnection) -> Result<Duration, sqlx::Error> {
    let began = Instant::now();
    let (mut sum, mut times) = (Duration::ZERO, 0);
    // Once at least, also where the operator itself has just stood still.
    while times == 0 || times < TIMES && began.elapsed() < ENOUGH {
        if times > 0 {
            sleep(PAUSE).await;
        }
        let asked = Instant::now();
        statements::fixed(connection).await?;
        sum += asked.elapsed();
        times += 1;
    }
    Ok(sum / times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_of_ours_says_which_run_of_a_pod_it_belongs_to() {
        assert_eq!(boot_id("0a1b2c3d/shop-cart-7d9f"), Some("0a1b2c3d"));
        for other in ["", "psql", "0a1b2c3d", "0a1b2c3/x", "0A1B2C3D/x", "0a1b2c3g/x", "/x"] {
            assert_eq!(boot_id(other), None, "{other}");
        }
        let applications = [("0a1b2c3d/a", 3), ("0a1b2c3d/b", 1), ("ffffffff/c", 2), ("psql", 4), ("", 1)];
        let client = |name: &str| Client { application: name.to_owned(), address: None };
        let clients = applications.map(|(name, count)| (client(name), count)).into();
        let settings = Settings { max_connections: 20, superuser_reserved: 3, reserved: 2 };
        let observed = Observed { clients, settings, ..Observed::default() };
        assert_eq!(observed.by_boot(), ([("0a1b2c3d", 4), ("ffffffff", 2)].into(), 5));
        assert_eq!(observed.free(), 3);
    }

    #[test]
    fn an_address_is_not_repeated() {
        for wrong in ["mysql://a:secret@b/c", "postgres://a:secret@b:port/c", ""] {
            let said = Probe::new(wrong, None).err().expect("it is refused").to_string();
            assert!(said.contains("the address of the database") && !said.contains("secret"), "{said}");
        }
        assert!(Probe::new("postgresql://a:b@localhost/c", None).is_ok());
    }
}
