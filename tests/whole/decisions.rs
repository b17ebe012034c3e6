//! What the operator has decided and granted, as `selvage pool` shows it: the commands at the operator's own server.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use selvage_operator::broker::Leadership;
use selvage_operator::decisions::{Access, AccessError, Limits, Picture, Server};
use selvage_proto::pool::v1::{Budget, Condition, Decision, Pod, Probe, Scaler, Wanted};
use selvage_testkit::free_port;
use selvage_tests::process::binary;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;

/// Knows two people, of whom one may read, in one namespace.
struct TwoPeople;

#[tonic::async_trait]
impl Access for TwoPeople {
    async fn may_read(&self, token: &str, namespace: &str) -> Result<(), AccessError> {
        match (token, namespace) {
            ("reader", "shop") => Ok(()),
            ("reader" | "nobody", _) => Err(AccessError::Forbidden(format!("system:serviceaccount:shop:{token}"))),
            _ => Err(AccessError::Stranger("it is another one".to_owned())),
        }
    }
}

/// The operator as far as it shows something.
pub(crate) struct Operator {
    /// HOST:PORT.
    pub(crate) address: String,
    picture: watch::Sender<Arc<Picture>>,
    _leadership: watch::Sender<Leadership>,
    /// Its own, so that its connections end with it, as those of a process do.
    runtime: Option<Runtime>,
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl Operator {
    /// One that leads and has decided about a workload.
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("it can");
        let address = listener.local_addr().expect("an address").to_string();
        let leadership = watch::Sender::new(Leadership::Leading { epoch: 3 });
        let picture =
            watch::Sender::new(Arc::new(Picture { epoch: Some(3), budgets: vec![budget("ReplicaBound", 12)] }));
        let server = Server::new(TwoPeople, leadership.subscribe(), picture.subscribe(), Limits::default());
        let router = tonic::transport::Server::builder().add_service(server);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            router.serve_with_incoming(TcpIncoming::from(listener)).await.expect("it serves");
        });
        Self { address, picture, _leadership: leadership, runtime: Some(runtime) }
    }

    /// Decides anew.
    pub(crate) fn decides(&self, class: &str, waiting: u32) {
        self.picture.send_replace(Arc::new(Picture { epoch: Some(3), budgets: vec![budget(class, waiting)] }));
    }
}

/// A token in a file.
pub(crate) fn token_file(folder: &Path, token: &str) -> String {
    let file = folder.join(token);
    std::fs::write(&file, format!("{token}\n")).expect("it is written");
    file.display().to_string()
}

fn budget(class: &str, waiting: u32) -> Budget {
    let decision = Decision {
        class: class.to_owned(),
        reason: format!("{waiting} callers wait, with 8 of 8 connections in use in 1 pods."),
        otherwise: "It grows from 1 to 2 replicas.".to_owned(),
        raw: Some(Wanted { replicas: 3, connections_per_replica: 8, connections_at_most: None }),
        r#final: Some(Wanted { replicas: 2, connections_per_replica: 8, connections_at_most: None }),
        enforced: true,
        ..Decision::default()
    };
    let pod = Pod {
        name: "cart-7d9f-x2x".to_owned(),
        boot_id: "0a1b2c3d".to_owned(),
        granted: Some(8),
        charged: 8,
        limit: Some(8),
        open: 8,
        in_use: 8,
        waiting,
        standing: "wants 12, and has its share of what there is".to_owned(),
        report_age: Some(prost_types::Duration { seconds: 0, nanos: 300_000_000 }),
        ..Pod::default()
    };
    let condition = Condition {
        r#type: "PodsWithinBounds".to_owned(),
        status: "False".to_owned(),
        message: "the pod cart-7d9f-x2x opens 3 connections where it finds no operator".to_owned(),
        ..Condition::default()
    };
    let scaler = Scaler {
        name: "cart".to_owned(),
        target_kind: "Deployment".to_owned(),
        target: "cart".to_owned(),
        mode: "Enforce".to_owned(),
        decision: Some(decision),
        conditions: vec![condition],
        replicas: 1,
        ready_replicas: 1,
        min_replicas: 1,
        max_replicas: 4,
        floor: 2,
        ceiling: 8,
        granted: 8,
        charged: 8,
        open: 8,
        in_use: 8,
        waiting,
        places: 9,
        provided: 9,
        pods: vec![pod],
    };
    let probe = Probe {
        outcome: "Answered".to_owned(),
        statement: Some(prost_types::Duration { seconds: 0, nanos: 1_200_000 }),
        ..Probe::default()
    };
    Budget {
        namespace: "shop".to_owned(),
        name: "main".to_owned(),
        budget: 90,
        charged: 8,
        set_aside: 16,
        headroom: 66,
        open: 8,
        leader: "operator-1".to_owned(),
        epoch: 3,
        probe: Some(probe),
        scalers: vec![scaler],
        ..Budget::default()
    }
}

/// Runs a command of `selvage pool`.
async fn pool(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("selvage"));
    command.arg("pool").args(arguments);
    tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_print_what_was_decided_and_granted() {
    let operator = Operator::start();
    let folder = tempfile::tempdir().unwrap();
    let file = token_file(folder.path(), "reader");
    let url = format!("http://{}", operator.address);
    let asked = ["--operator", &*url, "--token-file", &*file, "--namespace", "shop"];
    for top in [&["top"][..], &["top", "--once"]] {
        // What isn't printed on a terminal is printed once.
        let printed = pool(&[top, &asked[..]].concat()).await;
        let text = text(&printed.stdout);
        assert!(printed.status.success() && printed.stderr.is_empty(), "{text}{}", self::text(&printed.stderr));
        for words in [
            "shop/main",
            "answers in 1.2 ms",
            "operator-1 (epoch 3)",
            "ReplicaBound",
            "1 → 2",
            "12 callers wait",
            "cart-7d9f-x2x",
            "wants 12, and has its share of what there is",
        ] {
            assert!(text.contains(words), "{words} isn't in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "nothing moves a cursor that there isn't");
    }
    let explained = pool(&[&["explain", "cart"], &asked[..]].concat()).await;
    let text = text(&explained.stdout);
    assert!(explained.status.success(), "{}", self::text(&explained.stderr));
    for words in [
        "shop/cart, which scales Deployment cart: ReplicaBound",
        "12 callers wait, with 8 of 8 connections in use in 1 pods.\nIt grows from 1 to 2 replicas.",
        "needed       3 replicas, 8 connections a pod",
        "PodsWithinBounds     False   the pod cart-7d9f-x2x opens 3 connections",
    ] {
        assert!(text.contains(words), "{words} isn't in\n{text}");
    }
    println!("{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_said_with_the_remedy() {
    let operator = Operator::start();
    let folder = tempfile::tempdir().unwrap();
    let [reader, nobody, stranger] = ["reader", "nobody", "stranger"].map(|token| token_file(folder.path(), token));
    let (url, nowhere) = (format!("http://{}", operator.address), format!("http://127.0.0.1:{}", free_port()));
    let missing = folder.path().join("missing").display().to_string();
    for (arguments, words) in [
        (vec!["explain", "web", "--operator", &url, "--token-file", &reader, "-n", "shop"], "there are shop/cart"),
        (vec!["top", "--operator", &url], "kubectl create token NAME --audience selvage-operator"),
        (vec!["top", "--operator", &url, "--token-file", &missing], "can't be read"),
        (vec!["top", "--operator", &url, "--token-file", &stranger, "-n", "shop"], "kubectl create token"),
        (
            vec!["top", "--operator", &url, "--token-file", &nobody, "-n", "shop"],
            "may not list poolscalers.selvage.dev in the namespace shop",
        ),
        (vec!["top", "--operator", &url, "--token-file", &reader], "--namespace NAME asks for one namespace alone"),
        (
            vec!["top", "--operator", &nowhere, "--token-file", &reader],
            "kubectl port-forward service/NAME-operator 50060",
        ),
        (vec!["top", "--operator", "https://a:1", "--token-file", &reader], "only plain http"),
    ] {
        let refused = pool(&arguments).await;
        let said = text(&refused.stderr);
        assert!(!refused.status.success() && said.contains(words), "{arguments:?}: {said}");
    }
}
