//! What a stranger, a slow client or a careless operator can do to a process, tried on the real programs. Each test is bounded
//! in count and time: it shows that a bound holds, and measures nothing.

mod calls;
mod crowd;
mod heads;
mod leaving;
mod open;
mod repeating;
mod settings;
mod slow;
mod unread;

use std::process::Command;
use std::time::Duration;

use selvage_testkit::{Database, Engine, database, eventually};
use selvage_tests::alone::{Alone, SERVICE};
use selvage_tests::metrics::Metrics;
use selvage_tests::shop::{OneProcess, Tokens};
use tempfile::TempDir;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

const LONG: Duration = Duration::from_secs(60);

/// Where a shop's pages are: HOST:PORT.
fn pages_of(shop: &OneProcess) -> &str {
    shop.url.strip_prefix("http://").expect("http")
}

/// A service on a database of its own, with what both need while it runs.
struct Attacked {
    service: Alone,
    tokens: Tokens,
    database: Database,
    _keys: TempDir,
}

impl Attacked {
    /// On SQLite, with further arguments.
    async fn start(arguments: &[&str]) -> Self {
        Self::start_by(Engine::Sqlite, arguments, |command| command).await
    }

    /// By a command that `change` makes of the usual one. It is ready when this returns.
    async fn start_by(engine: Engine, arguments: &[&str], change: impl FnOnce(Command) -> Command) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let tokens = Tokens::make(keys.path());
        let database = database(engine).await;
        Alone::migrate(database.url(), "");
        let service = Alone::start_by(database.url(), &tokens, arguments, change);
        eventually(LONG, "it is ready", async || service.health(SERVICE).await == ServingStatus::Serving).await;
        Self { service, tokens, database, _keys: keys }
    }

    /// Whether calls, health and metrics are all answered.
    async fn serves(&self) -> bool {
        self.service.code_of_a_call(&self.tokens).await == Code::NotFound
            && self.service.health("").await == ServingStatus::Serving
            && self.service.probe("/readyz").status == 200
    }

    fn metrics(&self) -> Metrics {
        Metrics::of(&self.service.metrics)
    }

    /// How often there was this trouble with connections of its port.
    fn troubles(&self, trouble: &str) -> f64 {
        let labels = [("listener", "main"), ("trouble", trouble)];
        self.metrics().sum("selvage_listener_troubles_total", &labels)
    }
}

/// `command` within limits that a shell sets before.
fn limited(limit: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")]).arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}
