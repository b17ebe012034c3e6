//! What connections are made with: the address, the settings of a session, the password.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use sea_orm::DbBackend;
use selvage_conventions::db;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::address::Address;
use crate::connection::{Connection, SessionId};
use crate::latency::Latency;
use crate::password::PasswordFile;
use crate::servers::Servers;
use crate::wanted::Wanted;
use crate::{Config, OpenError, failure};

/// How long a SQLite statement waits for a file that another program has locked.
const FILE_WAIT: Duration = Duration::from_secs(5);

const UNREADABLE_FILE: &str = "the database address can't be read; it must be like sqlite://file";

/// What new connections are made with, parsed once.
pub(crate) enum Options {
    Postgres {
        servers: Servers,
        password: Option<PasswordFile>,
        /// The server shows its sessions to us, as far as it is known.
        shows_sessions: AtomicBool,
    },
    Sqlite(Box<SqliteConnectOptions>),
}

impl Options {
    pub(crate) fn new(config: &Config) -> Result<Self, OpenError> {
        if config.url.starts_with("sqlite") {
            let options = SqliteConnectOptions::from_str(&config.url)
                .map_err(|_| OpenError::Address { pool: config.name.clone(), why: UNREADABLE_FILE.to_owned() })?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // With NORMAL a power cut may take the last committed transactions back. FULL costs one fsync a commit;
                // an order that was confirmed must stay so.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(FILE_WAIT)
                // 512 KiB of pages a connection: a shop of four databases with four connections each keeps 8 MiB.
                .pragma("cache_size", "-512")
                // A file that is mapped counts as our memory, and a read error of the disk is a signal that kills us.
                .pragma("mmap_size", "0")
                .statement_cache_capacity(64)
                .disable_statement_logging();
            return Ok(Self::Sqlite(Box::new(options)));
        }
        let statement_timeout = config.statement_timeout.as_millis();
        // A transaction that idles is one whose owner is gone: no statement takes longer than its time-out, and between
        // two statements lies only our own computing.
        let idle_in_transaction = statement_timeout + 5_000;
        let settings = [
            ("statement_timeout", statement_timeout.to_string()),
            ("idle_in_transaction_session_timeout", idle_in_transaction.to_string()),
            // The server notices a client that died in silence after 10 + 3 × 5 s.
            ("tcp_keepalives_idle", "10".to_owned()),
            ("tcp_keepalives_interval", "5".to_owned()),
            ("tcp_keepalives_count", "3".to_owned()),
            ("tcp_user_timeout", "25000".to_owned()),
            // A statement whose caller is gone ends within half a second instead of at its time-out, so that the server
            // has no more of our backends than we have connections, give or take the second that budgets allow for.
            ("client_connection_check_interval", "500".to_owned()),
        ];
        let address = Address::parse(&config.url).map_err(|error| OpenError::address(&config.name, &error))?;
        let servers = Servers::of(address, |server| {
            server
                .application_name(&config.application_name)
                .options(settings.clone())
                .statement_cache_capacity(100)
                .disable_statement_logging()
        });
        let password = config.password_file.clone().map(PasswordFile::new);
        Ok(Self::Postgres { servers, password, shows_sessions: AtomicBool::new(true) })
    }

    /// The kind of database.
    pub(crate) fn backend(&self) -> DbBackend {
        match self {
            Self::Postgres { .. } => DbBackend::Postgres,
            Self::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    /// The file of a SQLite database.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Postgres { .. } => None,
            Self::Sqlite(options) => Some(options.get_filename().to_owned()),
        }
    }

    /// What spans say of the database. Texts are shared: each statement's span bears all of this.
    pub(crate) fn attributes(&self) -> Vec<KeyValue> {
        match self {
            Self::Sqlite(_) => vec![KeyValue::new(db::SYSTEM_NAME, "sqlite")],
            Self::Postgres { servers, .. } => {
                let mut attributes = vec![KeyValue::new(db::SYSTEM_NAME, "postgresql")];
                // Which of several it was a pool's spans can't say: they are about all of its connections.
                if let [server] = servers.each() {
                    attributes.push(KeyValue::new(db::SERVER_ADDRESS, Arc::<str>::from(server.get_host())));
                    attributes.push(KeyValue::new(db::SERVER_PORT, i64::from(server.get_port())));
                }
                let name = servers.each().first().and_then(|server| server.get_database());
                attributes.extend(name.map(|name| KeyValue::new(db::NAMESPACE, Arc::<str>::from(name))));
                attributes
            }
        }
    }

    /// Which of the servers is wanted.
    pub(crate) fn wanted(&self) -> Wanted {
        match self {
            Self::Postgres { servers, .. } => servers.wanted(),
            Self::Sqlite(_) => Wanted::Any,
        }
    }

    /// How long it may take to make a connection, where each server has `each` for it.
    pub(crate) fn longest_connect(&self, each: Duration) -> Duration {
        match self {
            Self::Postgres { servers, .. } => servers.longest(each),
            Self::Sqlite(_) => each,
        }
    }

    /// A new session of PostgreSQL, and which password it was made with; each server has `each` for its answer.
    async fn session(&self, each: Duration) -> Result<(PgConnection, u64), sqlx::Error> {
        let Self::Postgres { servers, password, .. } = self else { return Err(failure::closed()) };
        let (password, credentials) = match password {
            Some(file) => file.read().map_err(sqlx::Error::Io)?,
            None => (None, 0),
        };
        Ok((servers.connect(password.as_deref(), each).await?, credentials))
    }

    /// A new connection, its session at the server, and which password it was made with; each server has `each` for it.
    ///
    /// # Errors
    /// Where a server doesn't answer within [`Options::longest_connect`] too.
    pub(crate) async fn connect(
        &self,
        latency: &Latency,
        each: Duration,
    ) -> Result<(Connection, Option<SessionId>, u64), sqlx::Error> {
        let connecting = async {
            match self {
                Self::Sqlite(options) => Ok((Connection::sqlite(options.connect().await?, latency.clone()), None, 0)),
                Self::Postgres { shows_sessions, .. } => {
                    let (mut raw, credentials) = self.session(each).await?;
                    let session = session(&mut raw, shows_sessions).await?;
                    Ok((Connection::postgres(raw, latency.clone()), session, credentials))
                }
            }
        };
        let bound = self.longest_connect(each);
        let connected = tokio::time::timeout(bound, connecting).await;
        connected.unwrap_or_else(|_| Err(failure::silent("take the connection", bound)))
    }

    /// Whether the password is another one than when this was asked last.
    pub(crate) fn password_changed(&self) -> bool {
        match self {
            Self::Postgres { password: Some(file), .. } => file.changed(),
            _ => false,
        }
    }

    /// Which password new connections are made with.
    pub(crate) fn credentials(&self) -> u64 {
        match self {
            Self::Postgres { password: Some(file), .. } => file.version(),
            _ => 0,
        }
    }
}

/// The session of a new connection. A server without the view of its sessions, or that doesn't show it to our role, is named once:
/// what ends in silence is believed gone at once there, and the server may have more of our sessions than the limit.
async fn session(raw: &mut PgConnection, shows: &AtomicBool) -> Result<Option<SessionId>, sqlx::Error> {
    if !shows.load(Ordering::Relaxed) {
        return Ok(None);
    }
    match SessionId::of(raw).await {
        Ok(session) => Ok(Some(session)),
        Err(error) if failure::is_missing_feature_sqlx(&error) => {
            if shows.swap(false, Ordering::Relaxed) {
                tracing::warn!(
                    error = %error,
                    "the database server doesn't show its sessions: those that end in silence can't be ended there, and \
                     may be there beside the pool's limit for half a minute"
                );
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
