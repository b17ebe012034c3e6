//! The shop's processes, as those who run it see them: who may look, and what the processes say.
//!
//! The page `/ops` asks every process apart, with the token of whoever looks; a process that is away keeps nobody waiting. An
//! open page gets its parts by server-sent events, each when it has changed. Without scripts it loads itself again. Its
//! alerts have the names and the conditions of the fast alerts in Prometheus, so that both say the same.
//!
//! Where the pages are told of the operator, they show what it has decided and granted. They ask it with the token of their own service
//! account, and show its answer to whose token a process has just taken.
//!
//! The token of whoever looks is kept in a cookie that only `web` can read. The one-process shop also prints a link at its
//! start, which opens the page once and leaves a cookie. That a request comes from this very machine proves nothing: a
//! reverse proxy on it passes on what strangers ask, and a page elsewhere can lead a browser to 127.0.0.1.

mod access;
mod decisions;
mod link;
mod processes;

use selvage_identity::Issuer;
use selvage_rpc::Channel;

pub(crate) use access::{Doors, MAX_TOKEN, Operator};
pub use decisions::Decider;
pub(crate) use decisions::Told;
pub use link::Link;
pub(crate) use processes::{Answers, MAX_INSTANCES, Process, Processes, Seen};

/// Who may look at the operations page.
#[derive(Clone)]
pub enum Access {
    /// Who has a token of the role operations, faults or admin.
    Token,
    /// Also who opens this link. For them the processes are called with tokens of this issuer, which they must trust with
    /// the role faults.
    Link(Link, Issuer),
}

/// What the operations page is made from.
#[derive(Clone)]
pub struct Operations {
    /// The services of the shop, each with its name and a channel to its instances.
    pub processes: Vec<(String, Channel)>,
    /// Who may look.
    pub access: Access,
    /// The operator that scales the shop, whose decisions and grants are shown too; nothing where there is none.
    pub scaler: Option<Decider>,
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.processes.iter().map(|(name, _)| name).collect();
        f.debug_struct("Operations").field("processes", &names).finish_non_exhaustive()
    }
}
