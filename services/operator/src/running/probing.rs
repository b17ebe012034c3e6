//! Looks at the databases, each second, by whoever leads.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::desk::BudgetName;
use crate::controllers::ANSWER;
use crate::domain::decide;
use crate::probe::{Look, Outcome, Probe, Settings};
use crate::resources::{ConnectionBudgetSpec, Database, SecretKey};

/// How often a database is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// After so many looks in a row that failed, its address is read anew: the password may have changed.
const READ_ANEW: u32 = 5;

/// What a look found.
pub(super) struct Found {
    pub(super) budget: BudgetName,
    pub(super) look: Look,
}

/// A database that is looked at.
struct Looking {
    of: Database,
    task: JoinHandle<()>,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All that are looked at, and what was found last.
pub(super) struct Probes {
    client: Client,
    sender: mpsc::Sender<Found>,
    looking: BTreeMap<BudgetName, Looking>,
    settings: BTreeMap<BudgetName, Settings>,
    last: BTreeMap<BudgetName, decide::Probe>,
}

impl Probes {
    pub(super) fn new(client: Client, sender: mpsc::Sender<Found>) -> Self {
        Self { client, sender, looking: BTreeMap::new(), settings: BTreeMap::new(), last: BTreeMap::new() }
    }

    /// What a database said of itself.
    pub(super) fn settings(&self, budget: &BudgetName) -> Option<Settings> {
        self.settings.get(budget).copied()
    }

    /// What the last look came to.
    pub(super) fn last(&self, budget: &BudgetName) -> Option<&decide::Probe> {
        self.last.get(budget)
    }

    /// Remembers what was found.
    pub(super) fn found(&mut self, budget: BudgetName, look: Look) {
        if let Outcome::Answered(observed) = &look.outcome {
            self.settings.insert(budget.clone(), observed.settings);
        }
        let (probe, _) =
            super::hearing::looked(&look.outcome, &Default::default(), Default::default(), Default::default());
        self.last.insert(budget, probe);
    }

    /// These are looked at, and no others.
    pub(super) fn keep<'a>(&mut self, wanted: impl Iterator<Item = (&'a BudgetName, &'a ConnectionBudgetSpec)>) {
        let wanted: BTreeMap<_, _> = wanted.filter_map(|(name, spec)| Some((name, spec.database.as_ref()?))).collect();
        self.looking.retain(|name, looking| wanted.get(name).is_some_and(|database| **database == looking.of));
        self.last.retain(|name, _| wanted.contains_key(name));
        for (name, database) in wanted {
            if !self.looking.contains_key(name) {
                let work = look(self.client.clone(), name.clone(), database.clone(), self.sender.clone());
                let looking = Looking { of: database.clone(), task: tokio::spawn(work) };
                self.looking.insert(name.clone(), looking);
            }
        }
    }
}

/// Looks until nobody wants to know any more.
async fn look(client: Client, budget: BudgetName, database: Database, found: mpsc::Sender<Found>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut probe: Option<Probe> = None;
    let mut failures = 0;
    loop {
        ticks.tick().await;
        if probe.is_none() || failures >= READ_ANEW {
            failures = 0;
            match address(&client, &budget.0, &database).await {
                Ok(made) => probe = Some(made),
                Err(error) => {
                    let outcome = Outcome::Failed(format!("{error:#}"));
                    let look = Look { began: tokio::time::Instant::now(), outcome };
                    if found.send(Found { budget: budget.clone(), look }).await.is_err() {
                        return;
                    }
                    continue;
                }
            }
        }
        let Some(current) = &mut probe else { continue };
        let look = current.look().await;
        failures = if matches!(look.outcome, Outcome::Answered(_)) { 0 } else { failures + 1 };
        if found.send(Found { budget: budget.clone(), look }).await.is_err() {
            return;
        }
    }
}

/// A probe of the database.
async fn address(client: &Client, namespace: &str, database: &Database) -> anyhow::Result<Probe> {
    let secrets = Api::namespaced(client.clone(), namespace);
    let url = match (&database.url_secret_ref, &database.url) {
        (Some(wanted), _) => value(&secrets, wanted).await?,
        (None, Some(url)) => url.clone(),
        (None, None) => anyhow::bail!("spec.database says no address"),
    };
    let password = match &database.password_secret_ref {
        Some(wanted) => Some(value(&secrets, wanted).await?),
        None => None,
    };
    Probe::new(&url, password.as_deref())
}

/// A value in a Secret, without the end of its line.
async fn value(secrets: &Api<Secret>, wanted: &SecretKey) -> anyhow::Result<String> {
    let SecretKey { name, key } = wanted;
    let secret = timeout(ANSWER, secrets.get(name)).await.context("the API server doesn't answer")??;
    let value = secret.data.as_ref().and_then(|data| data.get(key));
    let value = value.with_context(|| format!("the Secret {name} has no key {key}"))?;
    let text =
        std::str::from_utf8(&value.0).ok().with_context(|| format!("{key} of the Secret {name} isn't a text"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
