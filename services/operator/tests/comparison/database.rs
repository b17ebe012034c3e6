//! A database with a number of cores, and with a limit of connections.

/// Backends that it can keep busy at once.
pub(crate) const ROOM: f64 = 256.0;
pub(crate) const MAX_CONNECTIONS: u32 = 500;
/// Kept for superusers.
pub(crate) const SUPERUSERS: u32 = 3;
/// Kept for what nobody has thought of.
pub(crate) const RESERVE: u32 = 50;
/// Of probes, migrations and people.
pub(crate) const OTHERS: u32 = 7;
pub(crate) const BUDGET: u32 = MAX_CONNECTIONS - SUPERUSERS - RESERVE - OTHERS;
/// Clients get no more than these.
pub(crate) const FOR_CLIENTS: u32 = MAX_CONNECTIONS - SUPERUSERS - OTHERS;
/// How much of its work is lost to contention for each time that its room is exceeded by itself.
const CONTENTION: f64 = 0.05;

/// The database at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Database {
    /// Backends that work, as a mean over the last steps.
    pub(crate) busy: f64,
    /// Backends that wait for a lock.
    pub(crate) locked: f64,
    /// How much longer a use takes than when there is room.
    pub(crate) slowness: f64,
    /// Times that it had to refuse a connection.
    pub(crate) refused: u64,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self { slowness: 1.0, ..Self::default() }
    }

    /// Takes in what was busy during a step.
    pub(crate) fn step(&mut self, busy: f64, locked: f64, room: f64) {
        // Half of the change a step: a use doesn't notice at once how many others there are.
        self.busy += (busy - self.busy) / 2.0;
        self.locked = locked;
        let over = (self.busy / room).max(1.0);
        self.slowness = over * (1.0 + CONTENTION * (over - 1.0));
    }
}
