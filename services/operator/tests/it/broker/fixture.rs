//! A broker that grants what the test says, and processes with pools.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use selvage_broker::{Broker, Pod, Settings};
use selvage_operator::broker::{
    Event, Happening, Hello, Identity, Leadership, Limits, Offer, Outbox, Report, ReviewError, Reviewer, Server,
};
use selvage_pool::sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_pool::{Config, Pool};
use selvage_testkit::{Database, Engine, engines, eventually, free_port};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tonic::transport::server::TcpIncoming;

pub(crate) const LONG: Duration = Duration::from_secs(10);

/// A token is "namespace/pod/uid".
pub(crate) struct Plain;

#[tonic::async_trait]
impl Reviewer for Plain {
    async fn review(&self, token: &str) -> Result<Identity, ReviewError> {
        let [namespace, pod, uid] = token.split('/').collect::<Vec<_>>()[..] else {
            return Err(ReviewError::Refused("it isn't one of this test's".into()));
        };
        Ok(Identity { namespace: namespace.into(), pod: pod.into(), uid: uid.into() })
    }
}

/// What the broker knows of a process.
pub(crate) struct Known {
    pub(crate) stream: u64,
    pub(crate) hello: Hello,
    pub(crate) report: Option<Report>,
    pub(crate) reports: u32,
    outbox: Option<Outbox>,
}

type Processes = Arc<Mutex<BTreeMap<String, Known>>>;

/// A broker of a script.
pub(crate) struct Script {
    pub(crate) address: SocketAddr,
    pub(crate) leadership: watch::Sender<Leadership>,
    processes: Processes,
    _tasks: JoinSet<()>,
}

impl Script {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], free_port())), Leadership::Leading { epoch: 1 }).await
    }

    pub(crate) async fn start_at(address: SocketAddr, leadership: Leadership) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let leadership = watch::Sender::new(leadership);
        let (server, mut events) = Server::new(Plain, leadership.subscribe(), Limits::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let incoming = TcpIncoming::from(listener);
            let router = tonic::transport::Server::builder().add_service(server);
            router.serve_with_incoming(incoming).await.expect("it serves");
        });
        let processes = Processes::default();
        let known = processes.clone();
        tasks.spawn(async move {
            while let Some(event) = events.recv().await {
                note(&known, event);
            }
        });
        Self { address, leadership, processes, _tasks: tasks }
    }

    /// What is known of the process `boot_id`, which has attached.
    pub(crate) fn with<R>(&self, boot_id: &str, look: impl FnOnce(&Known) -> R) -> Option<R> {
        self.processes.lock().unwrap().get(boot_id).map(look)
    }

    pub(crate) fn report(&self, boot_id: &str) -> Report {
        self.with(boot_id, |known| known.report.clone()).flatten().unwrap_or_default()
    }

    pub(crate) fn is_attached(&self, boot_id: &str) -> bool {
        self.with(boot_id, |known| known.outbox.is_some()).unwrap_or_default()
    }

    pub(crate) fn offer(&self, boot_id: &str, offer: Offer) {
        let put = self.with(boot_id, |known| known.outbox.as_ref().is_some_and(|outbox| outbox.put(offer)));
        assert_eq!(put, Some(true), "{boot_id} is attached");
    }

    /// Grants `connections`, once the process is attached, and waits until it is complied with.
    pub(crate) async fn grant(&self, boot_id: &str, id: (u64, u64), connections: u32) {
        eventually(LONG, "it attaches", async || self.is_attached(boot_id)).await;
        self.offer(boot_id, Offer::Grant { id, connections });
        let what = format!("{boot_id} complies with {connections}");
        eventually(LONG, &what, async || self.report(boot_id).complied == Some(id)).await;
        let report = self.report(boot_id);
        assert!(report.limit <= connections && report.open <= report.limit, "{report:?}");
    }
}

fn note(processes: &Processes, event: Event) {
    let mut processes = processes.lock().unwrap();
    let Event { holder, stream, what } = event;
    match what {
        Happening::Attached { hello, outbox, .. } => {
            let known = Known { stream, hello, report: None, reports: 0, outbox: Some(outbox) };
            processes.insert(holder.boot_id, known);
        }
        other => {
            let known = processes.get_mut(&holder.boot_id).expect("it attached first");
            if known.stream != stream {
                return;
            }
            match other {
                Happening::Reported(report) => {
                    (known.report, known.reports) = (Some(*report), known.reports + 1);
                }
                Happening::Changed(hello) => known.hello = hello,
                _ => known.outbox = None,
            }
        }
    }
}

/// A process with pools on the test's database, in this one.
pub(crate) struct Process {
    pub(crate) boot_id: &'static str,
    pub(crate) broker: Broker,
    url: String,
    folder: TempDir,
    _client: Aborted,
}

/// A task that ends with this.
struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Process {
    /// Of the pod `boot_id`, whose token is right.
    pub(crate) fn start(boot_id: &'static str, url: &str, broker: &str, tune: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, format!("shop/pod-{boot_id}/uid-{boot_id}\n")).unwrap();
        let pod = Pod { namespace: "shop".into(), name: format!("pod-{boot_id}"), uid: format!("uid-{boot_id}") };
        let mut settings = Settings::new(broker.parse().unwrap(), file, "main", pod);
        settings.boot_id = boot_id.to_owned();
        settings.report_every = Duration::from_millis(100);
        tune(&mut settings);
        let (broker, client) = Broker::new(settings);
        let client = Aborted(tokio::spawn(client));
        Self { boot_id, broker, url: url.to_owned(), folder, _client: client }
    }

    pub(crate) fn token_file(&self) -> std::path::PathBuf {
        self.folder.path().join("token")
    }

    pub(crate) fn pool(&self, name: &str, floor: u32, ceiling: u32) -> Pool {
        let config = Config {
            floor: Some(floor),
            limit: ceiling,
            max_wait: Duration::from_secs(30),
            awaits_grant: true,
            application_name: format!("{}/pod", self.boot_id),
            ..Config::new(name, &self.url)
        };
        let pool = Pool::unopened(config).unwrap();
        self.broker.join(&pool).unwrap();
        pool
    }
}

/// The test's own database, and a way to look at its sessions; `None` without PostgreSQL, which is said.
pub(crate) async fn database() -> Option<(Database, Pool)> {
    if !engines().contains(&Engine::Postgres) {
        return None;
    }
    let database = selvage_testkit::database(Engine::Postgres).await;
    let observer = Pool::open(Config { limit: 1, ..Config::new("observer", database.url()) }).await.unwrap();
    Some((database, observer))
}

/// Sessions of processes at the server.
pub(crate) async fn sessions(observer: &Pool) -> u32 {
    let sql = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name LIKE '%/pod'";
    let row = observer.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
    u32::try_from(row.try_get::<i32>("", "n").unwrap()).unwrap()
}
