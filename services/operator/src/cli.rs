//! The command line.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use selvage_boot::connections::incoming;
use selvage_boot::{Context, Process};
use selvage_operator::broker::{Cached, Limits, Server};
use selvage_operator::controllers::kinds::stale_kinds;
use selvage_operator::controllers::lease::{Contender, Terms};
use selvage_operator::controllers::readers::Readers;
use selvage_operator::controllers::tokens::Tokens;
use selvage_operator::decisions;
use selvage_operator::resources::{definitions, manifest};
use selvage_operator::running::{Place, Running};

/// How long a client's connection may be silent before it is asked whether it lives, and how long it may take to answer: the ledger
/// relies on a stream whose other end is gone being closed within 20 s.
const ASK_AFTER: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The program.
pub(crate) struct Operator;

/// What it is told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The namespace that is looked after; all of them if none is named
    #[arg(long, env = "SELVAGE_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// The namespace that the operator itself is in: that of the Lease
    #[arg(long, env = "SELVAGE_POD_NAMESPACE", value_name = "NAME")]
    own_namespace: String,
    /// The pod that the operator runs in: whose name its replicas know it by
    #[arg(long, env = "SELVAGE_POD_NAME", value_name = "NAME")]
    pod_name: String,
    /// The address at which pods reach this replica
    #[arg(long, env = "SELVAGE_POD_ADDRESS", value_name = "IP")]
    pod_address: std::net::IpAddr,
    /// The Lease that says which replica leads
    #[arg(long, env = "SELVAGE_LEASE", value_name = "NAME", default_value = "selvage-operator")]
    lease: String,
}

/// What it can do beside serving.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Print the definitions of ConnectionBudget and PoolScaler, as 'kubectl apply --server-side -f -' takes them
    Crd,
}

impl Process for Operator {
    const NAME: &'static str = "selvage-operator";
    const ABOUT: &'static str = "Scales replicas and pools on saturation, within the connections that a database has.";
    const PORT: Option<u16> = Some(50060);
    const METRICS_PORT: Option<u16> = Some(9469);
    const THREADS: Option<u8> = Some(1);
    type Args = Arguments;
    type Command = Command;

    async fn start(arguments: Arguments, mut context: Context) -> anyhow::Result<Self> {
        let listener = context.listener()?;
        let Context { clock, life, .. } = context;
        let client = Client::try_default()
            .await
            .context("no Kubernetes API server is known: the operator runs in a pod, or with KUBECONFIG")?;
        for what in stale_kinds(&client).await.context("the kinds that the cluster serves can't be looked at")? {
            tracing::error!(what, "the cluster serves another version of our kinds: upgrade the chart selvage-crds");
        }
        let port = listener.local_addr()?.port();
        let contender = Contender {
            // A container that starts anew is another contender.
            identity: format!("{}-{}", arguments.pod_name, boot_id()),
            address: SocketAddr::new(arguments.pod_address, port).to_string(),
            lease: arguments.lease,
            terms: Terms::DEFAULT,
        };
        let place = Place { namespace: arguments.namespace, own_namespace: arguments.own_namespace, contender };
        let (running, leadership) = Running::start(client.clone(), place, clock, &life);
        life.waits_for("the objects of the API server haven't been listed yet");
        running.listed().await;
        let readers = decisions::Cached::new(Readers::new(client.clone()));
        let shown =
            decisions::Server::new(readers, leadership.clone(), running.picture(), decisions::Limits::default());
        let reviewer = Cached::new(Tokens::new(client));
        let (server, events) = Server::new(reviewer, leadership, Limits::default());
        let (serving, incoming) = (life.clone(), incoming(listener, &life));
        life.run("grpc", async move {
            tonic::transport::Server::builder()
                .http2_keepalive_interval(Some(ASK_AFTER))
                .http2_keepalive_timeout(Some(ANSWER_WITHIN))
                .max_concurrent_streams(Some(16))
                .add_service(server)
                .add_service(shown)
                .serve_with_incoming_shutdown(incoming, serving.stopping())
                .await?;
            Ok(())
        });
        let deciding = life.clone();
        life.run("decide", async move { running.decide(events, deciding).await });
        Ok(Self)
    }

    async fn command(command: Command) -> anyhow::Result<()> {
        match command {
            Command::Crd => {
                let manifests = definitions().iter().map(manifest).collect::<anyhow::Result<Vec<_>>>()?;
                Ok(std::io::stdout().write_all(manifests.join("---\n").as_bytes())?)
            }
        }
    }
}

/// Eight hexadecimal digits that no other start has.
fn boot_id() -> String {
    let chance = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    format!("{:08x}", chance & 0xffff_ffff)
}
