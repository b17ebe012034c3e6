//! How scalers and budgets are, by the last decision.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::controllers::lease::Standing;
use crate::domain::decide::Class;
use crate::probe::Doing;

/// Scalers that are shown, the first by name: with up to 8 conditions each, 250 are 2,000 series, and OpenTelemetry's library keeps
/// 2,000 of one metric.
pub const MAX_SCALERS: usize = 250;
/// Budgets that are shown, the first by name: 4 counts of each are 400 series.
pub const MAX_BUDGETS: usize = 100;

/// A condition, and whether it is so; unknown ones are left out.
pub type Conditions = Vec<(String, bool)>;

/// A scaler, by the last decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScalerShown {
    /// `namespace/name`.
    pub name: String,
    /// Replicas that its workload is asked to have, if there is one.
    pub present: Option<u32>,
    /// Its pods that are ready.
    pub ready: u32,
    /// Replicas that were decided on.
    pub desired: Option<u32>,
    /// Connections of each pod that were decided on.
    pub wanted: Option<u32>,
    /// Connections that were granted to its pods, all together.
    pub granted: u32,
    /// Those that they are charged with.
    pub charged: u32,
    /// Sessions that the database last showed of them; nothing if it wasn't asked.
    pub open: Option<u32>,
    /// Callers that wait.
    pub waiting: u32,
    /// What is the matter.
    pub class: Option<Class>,
    /// What keeps it from having what is needed: names of constraints.
    pub limited: Vec<&'static str>,
    /// Its conditions.
    pub conditions: Conditions,
}

/// Sessions at a server, by whom they are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionsShown {
    /// Of pods that the ledger charges.
    pub pods: u32,
    /// Named as a pod's are, and of none that is known.
    pub strays: u32,
    /// Of all others.
    pub others: u32,
}

/// What a look at a database that was answered said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerShown {
    /// How long the fixed statement took.
    pub statement: Duration,
    /// That as a multiple of what it takes while nobody lacks anything, if that is known.
    pub slowness: Option<f64>,
    /// Connections that the server has left for ordinary roles, if the role is shown who is connected.
    pub free: Option<u32>,
    /// Backends by what they do, if the role is shown that.
    pub doing: Option<BTreeMap<Doing, u32>>,
}

/// A budget, by the last decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BudgetShown {
    /// `namespace/name`.
    pub name: String,
    /// What pods may have together.
    pub budget: u32,
    /// What they may have now.
    pub charged: u32,
    /// Floors of pods that may come.
    pub set_aside: u32,
    /// What can be granted in addition.
    pub headroom: u32,
    /// By how much the budget is exceeded.
    pub excess: u32,
    /// What the last look came to, if there was one: Answered, NoSlot or Failed.
    pub outcome: Option<&'static str>,
    /// When a look was last answered.
    pub answered: Option<Instant>,
    /// What the last look said, if it was answered.
    pub answer: Option<AnswerShown>,
    /// Sessions, by the last look that was answered. They stay while looks are refused: they say who took the slots.
    pub sessions: Option<SessionsShown>,
    /// Its conditions.
    pub conditions: Conditions,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// At most [`MAX_SCALERS`] are shown.
    pub scalers: Vec<ScalerShown>,
    /// At most [`MAX_BUDGETS`] are shown.
    pub budgets: Vec<BudgetShown>,
    /// Processes that have a stream.
    pub streams: u32,
}

/// Where what was decided is put, for whoever measures.
#[derive(Clone, Debug)]
pub struct Board {
    shown: Arc<RwLock<Option<Arc<Shown>>>>,
    standing: watch::Receiver<Standing>,
}

impl Board {
    /// An empty one.
    pub fn new(standing: watch::Receiver<Standing>) -> Self {
        Self { shown: Arc::default(), standing }
    }

    /// Shows this from now on; nothing, if this replica doesn't lead.
    pub fn show(&self, shown: Option<Shown>) {
        let shown = shown.map(|mut shown| {
            shown.scalers.truncate(MAX_SCALERS);
            shown.budgets.truncate(MAX_BUDGETS);
            Arc::new(shown)
        });
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    /// What is shown at this time. What was decided in a lead isn't shown after its end, even if whoever decides is held up and
    /// hasn't noticed: another replica may show another thing by then.
    pub fn shown(&self, now: Instant) -> Option<Arc<Shown>> {
        self.standing.borrow().leads(now)?;
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_by_whoever_does_not_lead() {
        let start = Instant::now();
        let (standing, followed) = watch::channel(Standing::default());
        let board = Board::new(followed);
        board.show(Some(Shown { streams: 3, ..Shown::default() }));
        assert_eq!(board.shown(start), None, "another replica leads");
        standing.send_replace(Standing::leading(7, start + Duration::from_secs(8)));
        assert_eq!(board.shown(start).map(|shown| shown.streams), Some(3));
        assert_eq!(board.shown(start + Duration::from_secs(8)), None, "the lead is over, and nobody has said so");
        board.show(None);
        assert_eq!(board.shown(start), None);
    }

    #[test]
    fn what_is_shown_is_bounded() {
        let start = Instant::now();
        let (_standing, followed) = watch::channel(Standing::leading(7, start + Duration::from_secs(8)));
        let board = Board::new(followed);
        let (scalers, budgets) = (vec![ScalerShown::default(); 999], vec![BudgetShown::default(); 999]);
        board.show(Some(Shown { scalers, budgets, streams: 0 }));
        let shown = board.shown(start).expect("it leads");
        assert_eq!((shown.scalers.len(), shown.budgets.len()), (MAX_SCALERS, MAX_BUDGETS));
    }
}
