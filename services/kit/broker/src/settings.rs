use std::path::PathBuf;
use std::time::Duration;

use selvage_rpc::Target;

/// The pod that the process runs in, as its service account's token names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// What a process must know to be shared connections out to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where a broker is. It need not be the leader.
    pub broker: Target,
    /// A file with the token of the pod's service account. It is read anew for each stream.
    pub token_file: PathBuf,
    /// The `ConnectionBudget` of the server that the pools are on: NAME or NAMESPACE/NAME.
    pub budget: String,
    /// Whose connections they are.
    pub pod: Pod,
    /// This run of the process, as its sessions' names begin at the server.
    pub boot_id: String,
    /// How long no leader must have been heard before the pools open their floors without a grant.
    pub silence: Duration,
    /// How often the process says how it is.
    pub report_every: Duration,
}

impl Settings {
    /// With a report each second, and 10 s of silence: a broker's new leader takes over within 15 s, and within some 5 s if the
    /// one before ends in order; who has no grant by then should rather work with little than not at all.
    pub fn new(broker: Target, token_file: PathBuf, budget: impl Into<String>, pod: Pod) -> Self {
        Self {
            broker,
            token_file,
            budget: budget.into(),
            pod,
            boot_id: selvage_pool::boot_id().to_owned(),
            silence: Duration::from_secs(10),
            report_every: Duration::from_secs(1),
        }
    }

    /// The addresses of a broker, one of which is asked after the other.
    pub(crate) fn addresses(&self) -> Vec<String> {
        match &self.broker {
            Target::Address { host, port } if host.contains(':') => vec![format!("[{host}]:{port}")],
            Target::Address { host, port } => vec![format!("{host}:{port}")],
            Target::Addresses(listed) => listed.borrow().iter().map(ToString::to_string).collect(),
            Target::InProcess(_) => Vec::new(),
        }
    }
}
