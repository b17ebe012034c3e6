//! What the operator decides, apart from all that it observes and does: no clock, no chance, no network.
//!
//! [`control`] puts both together for one server. [`ledger`] shares a server's connections out, so that never more than its budget are open. [`decide`] says, of each scaler,
//! what is the matter, and what would help.

pub mod control;
pub mod decide;
pub mod ledger;
pub mod moment;
