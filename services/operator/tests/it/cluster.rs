//! A real API server with the operator's kinds.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use selvage_tests::api_server::{ApiServer, said};
use selvage_tests::helm::Helm;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What is skipped where there is no API server.
pub(crate) const SKIPPED: &str = "the operator at an API server";

/// The chart with the definitions.
pub(crate) fn chart() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/selvage-crds").canonicalize().expect("a chart")
}

/// A real API server.
pub(crate) struct Cluster {
    /// Itself.
    pub(crate) server: ApiServer,
    /// A client of it, as its administrator.
    pub(crate) client: Client,
    config: Config,
}

impl Cluster {
    /// One without our kinds; nothing where this machine has none.
    pub(crate) async fn bare() -> Option<Self> {
        let server = ApiServer::start(SKIPPED).await?;
        let kubeconfig = Kubeconfig::read_from(&server.kubeconfig).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("one");
        let client = Client::try_from(config.clone()).expect("a client");
        Some(Self { server, client, config })
    }

    /// One with the definitions.
    pub(crate) async fn start() -> Option<Self> {
        let it = Self::bare().await?;
        it.install();
        Some(it)
    }

    /// Installs the definitions.
    pub(crate) fn install(&self) {
        let files = chart().join("files");
        self.server.said(&["apply", "--server-side", "--filename", files.to_str().expect("a path")]);
        self.established();
    }

    /// Helm at this server.
    pub(crate) fn helm(&self, helm: &Helm, arguments: &[&str]) -> String {
        let kubeconfig = self.server.kubeconfig.to_str().expect("a path");
        let output = helm.run(&[&["--kubeconfig", kubeconfig, "--namespace", "default"][..], arguments].concat());
        said(output, &format!("helm {arguments:?}"))
    }

    /// Waits until the API server serves our kinds.
    pub(crate) fn established(&self) {
        let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
        let kinds = ["crd/connectionbudgets.selvage.dev", "crd/poolscalers.selvage.dev"];
        self.server.said(&[&wait[..], &kinds].concat());
    }

    /// A client of the server, as a service account.
    pub(crate) async fn account(&self, name: &str) -> Client {
        let token = self.server.said(&["create", "token", name]);
        let text = std::fs::read_to_string(&self.server.kubeconfig).expect("a kubeconfig");
        let text = text.replace("token: administrator", &format!("token: {}", token.trim()));
        let kubeconfig = Kubeconfig::from_yaml(&text).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("one");
        Client::try_from(config).expect("a client")
    }

    /// What kubectl says to an object from a file: `arguments`, and then the file.
    pub(crate) fn with_file(&self, arguments: &[&str], object: &Value) -> Output {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("object.json");
        std::fs::write(&path, object.to_string()).expect("it is written");
        let path = path.to_str().expect("a path");
        self.server.kubectl(&[arguments, &["--filename", path]].concat()).output().expect("kubectl")
    }

    /// Applies it as kubectl does.
    pub(crate) fn apply(&self, object: &Value) {
        let arguments = ["apply", "--server-side", "--validate=strict"];
        said(self.with_file(&arguments, object), &object.to_string());
    }
}

/// A way to the API server whose connections can die without a word, as those through a firewall do that has forgotten them.
pub(crate) struct Way {
    client: Client,
    deaths: Arc<AtomicU64>,
}

impl Way {
    /// One that works.
    pub(crate) async fn to(cluster: &Cluster) -> Self {
        let server = cluster.config.cluster_url.authority().expect("an address").to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let deaths = Arc::new(AtomicU64::new(0));
        let seen = deaths.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("the API server");
                let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
                tokio::spawn(pass(client_in, server_out, seen.clone()));
                tokio::spawn(pass(server_in, client_out, seen.clone()));
            }
        });
        let mut config = cluster.config.clone();
        config.cluster_url = format!("https://{address}").parse().expect("an address");
        Self { client: Client::try_from(config).expect("a client"), deaths }
    }

    /// A client that goes this way.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// From now on nothing passes on the connections that there are; nobody is told. New ones work.
    pub(crate) fn dies(&self) {
        self.deaths.fetch_add(1, Ordering::SeqCst);
    }
}

/// Passes bytes on until the connection dies, and then holds it open.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, deaths: Arc<AtomicU64>) {
    let born = deaths.load(Ordering::SeqCst);
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if deaths.load(Ordering::SeqCst) != born {
            return std::future::pending().await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
