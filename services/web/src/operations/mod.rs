//! The shop's processes, as those who run it see them: who may look, and what the processes say.

mod access;
mod processes;

use selvage_identity::Issuer;
use selvage_rpc::Channel;

pub(crate) use access::{Doors, MAX_TOKEN, Operator, is_here};
pub(crate) use processes::{Process, Processes, Seen};

/// Who may look at the operations page.
#[derive(Clone)]
pub enum Access {
    /// Who has a token of the role operations, faults or admin.
    Token,
    /// Also who reaches the pages from this very machine, under its own name and through nothing in between. The processes
    /// are called with tokens of this issuer, which they must trust with the role faults.
    Loopback(Issuer),
}

/// What the operations page is made from.
#[derive(Clone)]
pub struct Operations {
    /// The processes of the shop, each with its name and a channel to it.
    pub processes: Vec<(String, Channel)>,
    /// Who may look.
    pub access: Access,
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.processes.iter().map(|(name, _)| name).collect();
        f.debug_struct("Operations").field("processes", &names).finish_non_exhaustive()
    }
}
