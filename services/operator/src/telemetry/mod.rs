//! What is measured of the operator, and the traces of what it decides.
//!
//! - [`board`]: how scalers and budgets are, as whoever leads last decided on them; nothing on the other replicas.
//! - `gauges`: the board as metrics; [`counts`]: what happens, counted.
//! - [`acts`]: the decisions that change something, each a trace.
//!
//! Series are of scalers, budgets and the closed lists of this crate, never of pods: a pod's name is another with each roll-out.
//! A scaler and a budget are named `namespace/name` in one attribute, since Prometheus has a label `namespace` of its own.

pub mod acts;
pub mod board;
pub mod counts;
mod gauges;

pub use board::{Board, BudgetShown, ScalerShown, SessionsShown, Shown};

use crate::controllers::lease::Standing;

/// Shows what is put on the board that comes back, as long as the process lives and `standing` says that it leads.
pub fn observe(standing: tokio::sync::watch::Receiver<Standing>) -> Board {
    let board = Board::new(standing);
    gauges::observe(&board);
    counts::begin();
    board
}
