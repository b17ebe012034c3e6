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
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::Config;
use crate::connection::{Connection, SessionId};
use crate::failure;
use crate::latency::Latency;
use crate::password::PasswordFile;

/// How long a SQLite statement waits for a file that another program has locked.
const FILE_WAIT: Duration = Duration::from_secs(5);

/// What new connections are made with, parsed once.
pub(crate) enum Options {
    Postgres {
        options: Box<PgConnectOptions>,
        password: Option<PasswordFile>,
        /// The server shows its sessions to us, as far as it is known.
        shows_sessions: AtomicBool,
    },
    Sqlite(Box<SqliteConnectOptions>),
}

impl Options {
    pub(crate) fn new(config: &Config) -> Result<Self, sqlx::Error> {
        if config.url.starts_with("sqlite") {
            let options = SqliteConnectOptions::from_str(&config.url)?
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
        let options = PgConnectOptions::from_str(&config.url)?
            .application_name(&config.application_name)
            .options(settings)
            .statement_cache_capacity(100)
            .disable_statement_logging();
        let password = config.password_file.clone().map(PasswordFile::new);
        Ok(Self::Postgres { options: Box::new(options), password, shows_sessions: AtomicBool::new(true) })
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
            Self::Postgres { options, .. } => {
                let mut attributes = vec![
                    KeyValue::new(db::SYSTEM_NAME, "postgresql"),
                    KeyValue::new(db::SERVER_ADDRESS, Arc::<str>::from(options.get_host())),
                    KeyValue::new(db::SERVER_PORT, i64::from(options.get_port())),
                ];
                let name = options.get_database().map(|name| KeyValue::new(db::NAMESPACE, Arc::<str>::from(name)));
                attributes.extend(name);
                attributes
            }
        }
    }

    /// What a connection to PostgreSQL is made with now.
    pub(crate) fn postgres(&self) -> Result<Option<(PgConnectOptions, u64)>, sqlx::Error> {
        let Self::Postgres { options, password, .. } = self else { return Ok(None) };
        let Some(file) = password else { return Ok(Some((*options.clone(), 0))) };
        let (password, credentials) = file.read().map_err(sqlx::Error::Io)?;
        let options = options.as_ref().clone();
        Ok(Some((password.iter().fold(options, |options, password| options.password(password)), credentials)))
    }

    /// A new connection, its session at the server, and which password it was made with.
    pub(crate) async fn connect(&self, latency: &Latency) -> Result<(Connection, Option<SessionId>, u64), sqlx::Error> {
        match self {
            Self::Sqlite(options) => Ok((Connection::sqlite(options.connect().await?, latency.clone()), None, 0)),
            Self::Postgres { shows_sessions, .. } => {
                let (options, credentials) = self.postgres()?.ok_or_else(failure::closed)?;
                let mut raw = options.connect().await?;
                let session = session(&mut raw, shows_sessions).await?;
                Ok((Connection::postgres(raw, latency.clone()), session, credentials))
            }
        }
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
