//! Who leads, at a real API server.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use selvage_context::clock::Clock;
use selvage_operator::controllers::lease::{Contender, Standing, Terms, run};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::cluster::Cluster;

/// As the operator's own, and faster.
const TERMS: Terms = Terms {
    term: Duration::from_millis(2_500),
    lead: Duration::from_millis(2_000),
    renewal: Duration::from_millis(200),
};
/// How long is waited for what should come within two terms.
const BOUND: Duration = Duration::from_secs(30);

/// A replica of the operator, as far as it leads.
struct Replica {
    standing: watch::Receiver<Standing>,
    newest: watch::Sender<u64>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(cluster: &Cluster, name: &str) -> Self {
        let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), "default");
        let contender = Contender {
            identity: name.to_owned(),
            address: format!("http://{name}:9000"),
            lease: "selvage-operator".to_owned(),
            terms: TERMS,
        };
        let (newest, seen) = watch::channel(0);
        let (sender, standing) = watch::channel(Standing::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(run(leases, contender, Clock::system(), seen, sender, stopped));
        Self { standing, newest, stop, task }
    }

    /// The first standing that is so.
    async fn until(&mut self, what: &str, is_so: impl FnMut(&Standing) -> bool) -> Standing {
        let waited = timeout(BOUND, self.standing.wait_for(is_so)).await;
        waited.unwrap_or_else(|_| panic!("in vain: {what}")).expect("it runs").clone()
    }

    async fn leads(&mut self) -> u64 {
        let standing = self.until("it leads", |standing| standing.leads(Instant::now()).is_some()).await;
        standing.leads(Instant::now()).expect("it led a moment ago")
    }
}

fn lease(cluster: &Cluster) -> Api<Lease> {
    Api::namespaced(cluster.client.clone(), "default")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_leads_and_the_others_know_where() {
    let Some(cluster) = Cluster::bare().await else { return };
    let mut first = Replica::start(&cluster, "one");
    assert_eq!(first.leads().await, 1);
    let mut second = Replica::start(&cluster, "two");
    let standing = second.until("it knows the leader", |standing| standing.leader.is_some()).await;
    assert_eq!(standing.leader.as_deref(), Some("http://one:9000"));
    assert!(standing.leads(Instant::now()).is_none() && standing.answered.is_some());

    // It renews: the lead lasts longer than a term.
    let far = Instant::now() + TERMS.term;
    first.until("it is renewed", |standing| standing.leads(far).is_some()).await;
    assert_eq!(first.standing.borrow().leads(far), Some(1));

    // Told to end, it gives the Lease back, and nobody waits for a term.
    let told = Instant::now();
    first.stop.send(()).unwrap();
    first.task.await.unwrap();
    assert_eq!(second.leads().await, 2);
    assert!(told.elapsed() < TERMS.term, "it took {:?}", told.elapsed());
    let kept = lease(&cluster).get("selvage-operator").await.unwrap().spec.unwrap();
    assert_eq!((kept.holder_identity.as_deref(), kept.lease_transitions), (Some("two"), Some(2)));
    assert_eq!(first.standing.borrow().leads(told), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_killed_is_replaced_after_a_term_and_not_before_it_stopped() {
    let Some(cluster) = Cluster::bare().await else { return };
    let mut first = Replica::start(&cluster, "one");
    assert_eq!(first.leads().await, 1);
    let mut second = Replica::start(&cluster, "two");
    second.until("it knows the leader", |standing| standing.leader.is_some()).await;
    first.task.abort();
    let last = first.standing.borrow().clone();
    assert_eq!(second.leads().await, 2);
    assert_eq!(last.leads(Instant::now()), None, "two led at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_is_never_used_twice() {
    let Some(cluster) = Cluster::bare().await else { return };
    let mut replica = Replica::start(&cluster, "one");
    assert_eq!(replica.leads().await, 1);
    // Somebody takes it away by hand, and holds it for a term.
    let taken = json!({"spec": {"holderIdentity": "a person", "leaseTransitions": 7}});
    let parameters = PatchParams::default();
    lease(&cluster).patch("selvage-operator", &parameters, &Patch::Merge(&taken)).await.unwrap();
    replica.until("it stops", |standing| standing.leads(Instant::now()).is_none()).await;
    assert_eq!(replica.leads().await, 8);

    // Somebody deletes it, and its number with it; pods have seen a later one elsewhere.
    replica.newest.send_replace(20);
    lease(&cluster).delete("selvage-operator", &DeleteParams::default()).await.unwrap();
    let is_new = |standing: &Standing| standing.leads(Instant::now()).is_some_and(|epoch| epoch != 8);
    let standing = replica.until("it leads anew", is_new).await;
    assert_eq!(standing.leads(Instant::now()), Some(21));
}
