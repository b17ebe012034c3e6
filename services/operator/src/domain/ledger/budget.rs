//! How many connections pods may have at one server.

use std::time::Duration;

use crate::domain::moment::Moment;

/// For how long the most sessions of others that were seen are left to them. Shorter, and a client that comes each
/// minute would have the pods' limits changed twice a minute.
const OTHERS_KEPT: Duration = Duration::from_secs(60);

/// What a server has, and who is to have it besides pods. All in connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// `max_connections`.
    pub max_connections: u32,
    /// `superuser_reserved_connections`.
    pub superuser_reserved: u32,
    /// `reserved_connections`, which PostgreSQL has since 16.
    pub reserved: u32,
    /// What is left free.
    pub reserve: u32,
    /// What other clients are to have: probes, migrations, people.
    pub others: u32,
}

impl Budget {
    /// What is left for pods, if the others have no more than is meant for them.
    pub fn connections(&self) -> u32 {
        self.without(self.others)
    }

    fn without(&self, others: u32) -> u32 {
        let kept = [self.superuser_reserved, self.reserved, self.reserve, others];
        kept.into_iter().fold(self.max_connections, u32::saturating_sub)
    }
}

/// The budget with what others really have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purse {
    budget: Budget,
    others: u32,
    seen_at: Moment,
}

impl Purse {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, others: 0, seen_at: Moment::default() }
    }

    pub(super) fn configure(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// More sessions of others count at once, fewer after a minute.
    pub(super) fn saw_others(&mut self, others: u32, now: Moment) {
        if others >= self.others || now.since(self.seen_at) >= OTHERS_KEPT {
            (self.others, self.seen_at) = (others, now);
        }
    }

    /// What is left for pods.
    pub(super) fn connections(&self) -> u32 {
        self.budget.without(self.budget.others.max(self.others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { max_connections: 100, superuser_reserved: 3, reserved: 2, reserve: 10, others: 5 };

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn what_others_keep_is_taken_off() {
        assert_eq!(BUDGET.connections(), 80);
        assert_eq!(Budget { max_connections: 12, ..BUDGET }.connections(), 0, "never less than nothing");
    }

    #[test]
    fn more_of_others_than_was_said_counts_at_once_and_for_a_minute() {
        let mut purse = Purse::new(BUDGET);
        purse.saw_others(4, at(1));
        assert_eq!(purse.connections(), 80, "what is meant for them is theirs");
        purse.saw_others(9, at(2));
        assert_eq!(purse.connections(), 76);
        purse.saw_others(6, at(61));
        assert_eq!(purse.connections(), 76);
        purse.saw_others(6, at(62));
        assert_eq!(purse.connections(), 79);
        purse.configure(Budget { max_connections: 90, ..BUDGET });
        assert_eq!(purse.connections(), 69);
    }
}
