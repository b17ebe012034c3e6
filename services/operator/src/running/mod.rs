//! What the operator does for as long as it runs: it hears, decides and does.
//!
//! One task ([`Running::decide`]) owns all that is known, and is told everything by others: what the watches see, what the broker hears,
//! what the probes find, and who leads. It waits for nobody: grants are put where the streams find them, and what is to be written to
//! the API server is left to another task ([`writing`]), which an API server that doesn't answer holds up alone.

mod desk;
mod hearing;
mod picture;
mod probing;
mod scraping;
mod specs;
mod statuses;
mod targets;
mod telling;
mod workloads;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use selvage_boot::Life;
use selvage_context::clock::Clock;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::broker::{self, Leadership};
use crate::controllers::lease::{self, Contender, Standing};
use crate::controllers::watched::{self, RELIST, Verdict, Watched, verdict};
use crate::controllers::{generation, meters, owners, pods};
use crate::decisions::Picture;
use crate::domain::decide::Baselines;
use crate::domain::ledger::PodUid;
use crate::domain::moment::Moment;
use crate::probe;
use crate::resources::{ConnectionBudget, PoolScaler};
use crate::telemetry::{self, Board, counts};
use desk::Desk;
use telling::Telling;
use workloads::Objects;

/// How often is decided if nothing urgent happens.
const EVERY: Duration = Duration::from_secs(1);
/// How soon after a decision the next one may be: an edge of saturation waits no longer.
const AT_MOST_EVERY: Duration = Duration::from_millis(200);
/// How often is looked for others that scale the same workloads.
const OWNERS_EVERY: Duration = Duration::from_secs(15);

/// Where and as whom it runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The namespace that is looked after; all of them if none is named.
    pub namespace: Option<String>,
    /// The namespace of the Lease.
    pub own_namespace: String,
    /// Who contends for the lead.
    pub contender: Contender,
}

/// All objects, watched.
struct Sets {
    scalers: Watched<PoolScaler>,
    budgets: Watched<ConnectionBudget>,
    deployments: Watched<Deployment>,
    pods: Watched<Pod>,
}

/// The operator at work.
pub struct Running {
    client: Client,
    place: Place,
    clock: Clock,
    sets: Sets,
    standing: watch::Receiver<Standing>,
    leadership: watch::Sender<Leadership>,
    newest_epoch: watch::Sender<u64>,
    board: Board,
    picture: watch::Sender<Arc<Picture>>,
    started: Instant,
}

impl Running {
    /// Starts the watches and the contest for the lead on `life`.
    pub fn start(client: Client, place: Place, clock: Clock, life: &Life) -> (Self, watch::Receiver<Leadership>) {
        let sets = Sets {
            scalers: watched("poolscalers", &client, &place, life, |_| {}, generation),
            budgets: watched("connectionbudgets", &client, &place, life, |_| {}, generation),
            deployments: watched("deployments", &client, &place, life, |_| {}, workloads::matters_of_deployment),
            pods: watched("pods", &client, &place, life, pods::trim, workloads::matters),
        };
        let (standing_sender, standing) = watch::channel(Standing::default());
        let (newest_epoch, newest) = watch::channel(0);
        let leases = Api::namespaced(client.clone(), &place.own_namespace);
        let contest =
            lease::run(leases, place.contender.clone(), clock.clone(), newest, standing_sender, life.stopping());
        life.spawn("lease", contest);
        meters::observe(
            vec![
                (sets.scalers.kind(), sets.scalers.seen()),
                (sets.budgets.kind(), sets.budgets.seen()),
                (sets.deployments.kind(), sets.deployments.seen()),
                (sets.pods.kind(), sets.pods.seen()),
            ],
            standing.clone(),
        );
        let (leadership, followed) = watch::channel(Leadership::Following(None));
        let (board, picture) = (telemetry::observe(standing.clone()), watch::Sender::default());
        let started = Instant::now();
        let running = Self { client, place, clock, sets, standing, leadership, newest_epoch, board, picture, started };
        (running, followed)
    }

    /// What was decided last, for people.
    pub fn picture(&self) -> watch::Receiver<Arc<Picture>> {
        self.picture.subscribe()
    }

    /// Whether everything was listed once.
    pub async fn listed(&self) {
        let seen =
            [self.sets.scalers.seen(), self.sets.budgets.seen(), self.sets.deployments.seen(), self.sets.pods.seen()];
        for mut seen in seen {
            // An error: its watch is gone, and with it the process.
            let _ = seen.wait_for(|seen| seen.listed.is_some()).await;
        }
    }

    fn moment(&self, at: Instant) -> Moment {
        Moment::after_start(at.duration_since(self.started))
    }

    /// Hears and decides until the end.
    ///
    /// # Errors
    /// If a watch is dead while the API server answers: the process had better begin anew.
    pub async fn decide(mut self, mut events: mpsc::Receiver<broker::Event>, life: Life) -> anyhow::Result<()> {
        let mut desk = Desk::default();
        let mut telling = Telling::new(self.board.clone());
        let mut ready_since = BTreeMap::<PodUid, Moment>::new();
        let (found_sender, mut found) = mpsc::channel(64);
        let mut probes = probing::Probes::new(self.client.clone(), found_sender);
        let (scraped_sender, mut scraped) = mpsc::channel(64);
        let mut scraping = scraping::Scraping::new(scraped_sender);
        let mut targets = targets::Targets::new(self.client.clone());
        let mut selectors = pods::Selectors::default();
        // What the databases showed since the last decision: whose sessions are whose is told by pods that are listed by then.
        let mut looks = BTreeMap::<desk::BudgetName, (probe::Look, Instant)>::new();
        let (writer, writing) = writing::start(self.client.clone(), self.place.contender.identity.clone());
        life.spawn("writing", writing);
        let owned = owners::Others::default();
        let mut owners_at = Instant::now();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut urgent: Option<Instant> = None;
        let mut decided = Instant::now();
        let mut last_epoch = None;
        let stopping = life.stopping();
        let mut stopping = std::pin::pin!(stopping);
        loop {
            let due = urgent.map(|_| decided + AT_MOST_EVERY);
            tokio::select! {
                biased;
                () = &mut stopping => return Ok(()),
                changed = self.standing.changed() => {
                    if changed.is_err() { return Ok(()); }
                }
                Some(event) = events.recv() => {
                    let now = self.moment(Instant::now());
                    if desk.heard(event, now) { urgent.get_or_insert(Instant::now()); }
                    continue;
                }
                Some(found) = found.recv() => {
                    let probing::Found { budget, look } = found;
                    looks.insert(budget.clone(), (look.clone(), Instant::now()));
                    probes.found(budget, look);
                    continue;
                }
                Some(found) = scraped.recv() => {
                    let (at, now) = (self.moment(found.at), self.moment(Instant::now()));
                    if let Some((budget, pod, reading)) = scraping.found(found) {
                        desk.measured(&budget, &pod, &reading, at, now);
                    }
                    continue;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                _ = ticks.tick() => {}
            }
            let instant = Instant::now();
            let now = self.moment(instant);
            let standing = self.standing.borrow_and_update().clone();
            let lead = standing.lead().filter(|(_, until)| instant < *until);
            self.follow(&standing, lead.map(|(epoch, _)| epoch));
            let epoch = lead.map(|(epoch, _)| epoch);
            if epoch != last_epoch {
                last_epoch = epoch;
                if epoch.is_some() {
                    // Lists of before this lead may lack pods that another leader has granted something.
                    self.sets.pods.list_anew();
                }
            }
            self.end_if_wedged(&standing, instant)?;
            if instant >= owners_at && lead.is_some() {
                owners_at = instant + OWNERS_EVERY;
                owned.ask(&self.client, &self.sets.scalers.all().unwrap_or_default());
            }
            // Before the set is read, which may be newer than this and never older: the ledger relies on that.
            let listed = self.sets.pods.seen().borrow().listed.unwrap_or(self.started);
            let (Some(scalers), Some(budgets), Some(deployments), Some(pods)) =
                (self.sets.scalers.all(), self.sets.budgets.all(), self.sets.deployments.all(), self.sets.pods.all())
            else {
                continue;
            };
            let present: BTreeSet<_> = workloads::ready(&pods).collect();
            ready_since.retain(|uid, _| present.contains(uid));
            for uid in present {
                ready_since.entry(uid).or_insert(now);
            }
            let known = targets.keep(&scalers);
            let objects = Objects {
                scalers: &scalers,
                budgets: &budgets,
                deployments: &deployments,
                pods: &pods,
                targets: &known,
                listed_at: self.moment(listed),
            };
            self.has_seen_epochs(&budgets);
            let (mut databases, homeless) = workloads::databases(
                &objects,
                |name| probes.settings(name),
                |scaler| owned.refuse(scaler),
                &ready_since,
                &mut selectors,
            );
            scraping.keep(&mut databases, lead.is_some());
            let strangers = workloads::strangers(&pods, &databases);
            let configs = databases.iter().map(|(name, database)| (name.clone(), database.config.clone())).collect();
            desk.configure(configs, |name| left(&databases[name]), now);
            desk.lead(lead.map(|(epoch, until)| (epoch, self.moment(until))), now);
            for (name, database) in databases.iter().filter(|(_, database)| database.is_whole) {
                desk.workloads(name, database.workloads.clone(), now);
            }
            for (name, (look, heard)) in std::mem::take(&mut looks) {
                let times = (self.moment(look.began), self.moment(heard));
                desk.probed(&name, &look.outcome, &strangers, times, now);
                telling.looked(&name, &look, &strangers);
            }
            probes.keep(
                databases.iter().filter(|_| lead.is_some()).map(|(name, database)| (name, &database.object.spec)),
            );
            let nexts = desk.next(now);
            for since in desk.met() {
                counts::granted(self.moment(Instant::now()).since(*since));
            }
            (urgent, decided) = (None, instant);
            if lead.is_some() {
                let time = Timestamp::from_millisecond(self.clock.now_ms()).unwrap_or_default();
                let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time);
                let leader = &self.place.contender.identity;
                let mut batch = writing::Batch::default();
                let mut learned = BTreeMap::new();
                let mut shown = picture::Drawing::new(epoch, now, &time);
                for (name, database) in &databases {
                    let Some(next) = nexts.get(name) else { continue };
                    telling.decided(database, next, instant);
                    let baselines = desk.baselines(name);
                    let statuses = batch.add(database, next, probes.last(name), baselines.as_ref(), leader, &time);
                    let heard = |holder: &_| desk.heard_of(name, holder);
                    shown.add(database, next, probes.last(name), baselines.as_ref(), statuses, heard);
                    learned.extend(baselines.and_then(|known| Some((name.clone(), known.statement?))));
                }
                for scaler in homeless {
                    batch.homeless(scaler, &time);
                }
                batch.of_decisions(telling.acts());
                telling.show(&databases, &nexts, &learned, &batch, desk.streams());
                writer.send_replace(Arc::new(batch));
                self.picture.send_replace(Arc::new(shown.finish()));
            } else {
                telling.stop();
                self.picture.send_if_modified(|picture| std::mem::take(picture).epoch.is_some());
            }
        }
    }

    /// Tells the broker who leads.
    fn follow(&self, standing: &Standing, epoch: Option<u64>) {
        let now = match epoch {
            Some(epoch) => Leadership::Leading { epoch },
            None => Leadership::Following(standing.leader.clone()),
        };
        self.leadership.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
    }

    /// Epochs that former leaders have written: ours will be newer, even if the Lease was deleted.
    fn has_seen_epochs(&self, budgets: &[Arc<ConnectionBudget>]) {
        let written = budgets.iter().filter_map(|budget| budget.status.as_ref()?.epoch);
        let newest = written.filter_map(|epoch| u64::try_from(epoch).ok()).max().unwrap_or(0);
        self.newest_epoch.send_if_modified(|known| {
            let is_newer = newest > *known;
            *known = newest.max(*known);
            is_newer
        });
    }

    fn end_if_wedged(&self, standing: &Standing, now: Instant) -> anyhow::Result<()> {
        let sets = &self.sets;
        let listed = |seen: watch::Receiver<watched::Seen>| seen.borrow().listed;
        let watches = [
            (sets.scalers.kind(), listed(sets.scalers.seen())),
            (sets.budgets.kind(), listed(sets.budgets.seen())),
            (sets.deployments.kind(), listed(sets.deployments.seen())),
            (sets.pods.kind(), listed(sets.pods.seen())),
        ];
        if let Verdict::Wedged(kinds) = verdict(self.started, &watches, standing.answered, now) {
            anyhow::bail!(
                "the API server answers, and {} haven't been listed for a minute: ending, to begin anew",
                kinds.join(", ")
            );
        }
        Ok(())
    }
}

fn watched<K, M>(
    kind: &'static str,
    client: &Client,
    place: &Place,
    life: &Life,
    trim: impl Fn(&mut K) + Send + Sync + 'static,
    matters: impl Fn(&K) -> M + Send + Sync + 'static,
) -> Watched<K>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
    M: std::hash::Hash + 'static,
{
    let api = match &place.namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let (watched, work) = Watched::start_trimmed(kind, api, RELIST, trim, matters);
    let stopping = life.stopping();
    life.spawn(kind, async move {
        tokio::select! { () = work => {} () = stopping => {} }
    });
    watched
}

/// What a former leader has learned of a database.
fn left(database: &workloads::Database<'_>) -> Baselines {
    let micros = |micros: i64| Duration::from_micros(micros.unsigned_abs());
    let status = database.object.status.as_ref();
    let uses = database.scalers.iter().filter_map(|(id, scaler)| {
        let known = scaler.object.status.as_ref()?.baselines.iter();
        let known = known.map(|known| (known.operation.clone(), micros(known.microseconds))).collect();
        Some((id.as_str().to_owned(), known))
    });
    Baselines {
        statement: status.and_then(|status| status.probe_baseline_microseconds).map(micros),
        uses: uses.collect(),
    }
}
