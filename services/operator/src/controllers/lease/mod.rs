//! Which replica of the operator leads: a Lease of Kubernetes.
//!
//! Every replica runs [`run`], and reads [`Standing`]s of it. A Lease is no fence: a leader that is paused in the middle of
//! something goes on with it afterwards. What makes an old leader harmless is its epoch, the Lease's number of transitions,
//! which is in each of its grants; and it asks [`Standing::leads`] with the time before it gives any.

pub mod campaign;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use selvage_context::clock::Clock;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

pub use self::campaign::Terms;
use self::campaign::{Campaign, Record, Step};

/// How long an answer of the API server may take.
pub const ANSWER: Duration = Duration::from_secs(2);

/// The annotation that says where the leader is to be reached.
const ADDRESS: &str = "selvage.dev/broker-address";

/// Who contends for a Lease.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Of this process alone: the pod's name, and something that each start has anew.
    pub identity: String,
    /// Where its broker is to be reached, if it leads.
    pub address: String,
    /// The Lease's name.
    pub lease: String,
    /// How long a lead lasts.
    pub terms: Terms,
}

/// Who leads, as far as a replica knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Our epoch and its end, if we lead.
    lead: Option<(u64, Instant)>,
    /// Where the leader is to be reached, if another one leads.
    pub leader: Option<String>,
    /// When the API server last answered about the Lease.
    pub answered: Option<Instant>,
}

impl Standing {
    /// That of one that leads in `epoch` until then.
    #[cfg(test)]
    pub(crate) fn leading(epoch: u64, until: Instant) -> Self {
        Self { lead: Some((epoch, until)), ..Self::default() }
    }

    /// Our epoch and its end, by this process's clock.
    pub fn lead(&self) -> Option<(u64, Instant)> {
        self.lead
    }

    /// Our epoch, if we lead at this time. It may have ended since it was said: ask with the time of what is to be done.
    pub fn leads(&self, now: Instant) -> Option<u64> {
        self.lead.filter(|(_, until)| now < *until).map(|(epoch, _)| epoch)
    }
}

/// Contends for the Lease until `stop` is done, then gives it back, so that another replica leads at once.
///
/// `newest` is the largest epoch that was seen elsewhere, in a ConnectionBudget's status for instance.
pub async fn run(
    leases: Api<Lease>,
    contender: Contender,
    clock: Clock,
    newest: watch::Receiver<u64>,
    standing: watch::Sender<Standing>,
    stop: impl Future<Output = ()>,
) {
    let mut campaign = Campaign::new(contender.identity.clone(), contender.terms);
    let mut looks = interval(contender.terms.renewal);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(stop);
    let mut answered = None;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = &mut stop => break,
        }
        campaign.has_seen_epoch(*newest.borrow());
        // What is being asked when the end comes isn't waited for.
        let asked = tokio::select! {
            asked = look(&leases, &contender, &clock, &mut campaign) => asked,
            () = &mut stop => break,
        };
        match asked {
            Ok(()) => answered = Some(Instant::now()),
            Err(error) => {
                tracing::warn!(lease = contender.lease, error = format!("{error:#}"), "the Lease can't be renewed");
            }
        }
        let now = Instant::now();
        let said = Standing { lead: campaign.leads(now), leader: campaign.leader().map(ToOwned::to_owned), answered };
        standing.send_if_modified(|before| {
            let (was, is) = (before.lead.map(|(epoch, _)| epoch), said.lead.map(|(epoch, _)| epoch));
            if was != is {
                tracing::info!(epoch = is, before = was, leader = said.leader, "the lead changed");
            }
            let changed = *before != said;
            *before = said;
            changed
        });
    }
    standing.send_replace(Standing { lead: None, leader: None, answered });
    if campaign.leads(Instant::now()).is_some()
        && let Err(error) = give_back(&leases, &contender, &clock).await
    {
        tracing::warn!(
            error = format!("{error:#}"),
            "the Lease couldn't be given back: another replica leads when it has run out"
        );
    }
}

/// One look at the Lease, and what follows from it.
async fn look(
    leases: &Api<Lease>,
    contender: &Contender,
    clock: &Clock,
    campaign: &mut Campaign,
) -> anyhow::Result<()> {
    let found = timeout(ANSWER, leases.get_opt(&contender.lease)).await??;
    let step = campaign.observes(found.as_ref().map(record), Instant::now());
    let transitions = match step {
        Step::Wait => return Ok(()),
        Step::Renew => found.as_ref().map_or(0, |lease| record(lease).transitions),
        Step::Take(transitions) | Step::Make(transitions) => transitions,
    };
    let lease = written(found, contender, clock, transitions);
    let parameters = PostParams::default();
    // The version of what was read goes along, so that only one of those who take it at once succeeds.
    let sent = Instant::now();
    let answer = if matches!(step, Step::Make(_)) {
        timeout(ANSWER, leases.create(&parameters, &lease)).await?
    } else {
        timeout(ANSWER, leases.replace(&contender.lease, &parameters, &lease)).await?
    };
    match answer {
        Ok(lease) => campaign.wrote(record(&lease), sent),
        // Somebody else was faster, or what we sent before came after all: the next look tells.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Lets go of the Lease, if it is still ours.
async fn give_back(leases: &Api<Lease>, contender: &Contender, clock: &Clock) -> anyhow::Result<()> {
    let Some(found) = timeout(ANSWER, leases.get_opt(&contender.lease)).await?? else { return Ok(()) };
    let before = record(&found);
    if before.holder.as_deref() != Some(contender.identity.as_str()) {
        return Ok(());
    }
    let mut lease = written(Some(found), contender, clock, before.transitions);
    if let Some(spec) = &mut lease.spec {
        spec.holder_identity = None;
    }
    timeout(ANSWER, leases.replace(&contender.lease, &PostParams::default(), &lease)).await??;
    Ok(())
}

/// What a Lease says.
fn record(lease: &Lease) -> Record {
    let none = LeaseSpec::default();
    let spec = lease.spec.as_ref().unwrap_or(&none);
    let address = lease.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ADDRESS));
    Record {
        holder: spec.holder_identity.clone().filter(|holder| !holder.is_empty()),
        transitions: spec.lease_transitions.and_then(|transitions| u64::try_from(transitions).ok()).unwrap_or_default(),
        renewed: spec.renew_time.as_ref().map(|time| time.0.to_string()).unwrap_or_default(),
        address: address.cloned(),
    }
}

/// The Lease with us as its holder.
fn written(found: Option<Lease>, contender: &Contender, clock: &Clock, transitions: u64) -> Lease {
    let mut lease = found.unwrap_or_else(|| Lease {
        metadata: ObjectMeta { name: Some(contender.lease.clone()), ..ObjectMeta::default() },
        ..Lease::default()
    });
    let now = Timestamp::from_millisecond(clock.now_ms()).ok().map(MicroTime);
    let spec = lease.spec.get_or_insert_default();
    let is_renewal = spec.holder_identity.as_deref() == Some(contender.identity.as_str())
        && spec.lease_transitions.and_then(|before| u64::try_from(before).ok()) == Some(transitions);
    if !is_renewal {
        spec.acquire_time.clone_from(&now);
    }
    spec.holder_identity = Some(contender.identity.clone());
    spec.lease_duration_seconds = i32::try_from(contender.terms.term.as_secs()).ok();
    spec.lease_transitions = i32::try_from(transitions).ok();
    spec.renew_time = now;
    lease.metadata.annotations.get_or_insert_default().insert(ADDRESS.to_owned(), contender.address.clone());
    lease
}
