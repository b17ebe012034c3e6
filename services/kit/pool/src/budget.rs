//! The sums that keep a set of pools within what one database can give, whatever happens to them at the same time.
//!
//! A server has `max_connections`; of those some are kept for superusers, some for the unforeseen, and some are used by
//! others. The rest is the budget, B. Two sums must fit into it:
//!
//! - **Without anybody who moves limits**: Σ (replicas + surge) × limit ≤ B. A roll-out starts `surge` new instances before
//!   it ends old ones, and each may open its whole limit.
//! - **With an operator**, which raises limits only within B: Σ (most replicas + surge + a terminating generation) × floor
//!   ≤ B. Each instance opens its floor without asking anybody, also while the generation before it still ends; ceilings may
//!   add up to more.

use std::fmt;

/// What a server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its `max_connections`.
    pub max_connections: u32,
    /// Those for superusers and reserved roles: `superuser_reserved_connections` + `reserved_connections`.
    pub reserved: u32,
    /// Those kept for the unforeseen.
    pub reserve: u32,
    /// Those that others use: probes, migrations, people.
    pub others: u32,
}

impl Server {
    /// What is left for the clients.
    pub fn budget(&self) -> u32 {
        self.max_connections.saturating_sub(self.reserved).saturating_sub(self.reserve).saturating_sub(self.others)
    }
}

/// A service whose instances open connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Instances.
    pub replicas: u32,
    /// Instances at the most.
    pub max_replicas: u32,
    /// Instances that a roll-out starts beyond them.
    pub surge: u32,
    /// Connections of one instance at the most: its pools' limits together.
    pub limit: u32,
    /// Connections that one instance opens without asking: its pools' floors together.
    pub floor: u32,
}

impl Client {
    /// Its part of the sum without an operator.
    fn fixed(&self) -> u64 {
        (u64::from(self.replicas) + u64::from(self.surge)) * u64::from(self.limit)
    }

    /// Its part of the sum with an operator.
    fn floors(&self) -> u64 {
        (2 * u64::from(self.max_replicas) + u64::from(self.surge)) * u64::from(self.floor)
    }
}

/// Both sums, for one server and its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check<'a> {
    server: Server,
    clients: &'a [Client],
}

impl<'a> Check<'a> {
    /// Adds up what `clients` may open at `server`.
    pub fn new(server: Server, clients: &'a [Client]) -> Self {
        Self { server, clients }
    }

    /// The sum without an operator.
    pub fn fixed(&self) -> u64 {
        self.clients.iter().map(Client::fixed).sum()
    }

    /// The sum with an operator.
    pub fn floors(&self) -> u64 {
        self.clients.iter().map(Client::floors).sum()
    }

    /// Whether the sum without an operator fits.
    pub fn fixed_fits(&self) -> bool {
        self.fixed() <= u64::from(self.server.budget())
    }

    /// Whether the sum with an operator fits.
    pub fn floors_fit(&self) -> bool {
        self.floors() <= u64::from(self.server.budget())
    }

    /// What to change where `sum` doesn't fit.
    fn remedy(&self, sum: u64) -> String {
        let over = sum - u64::from(self.server.budget());
        format!("{over} too many: lower limits or replicas, or raise max_connections to {}", {
            u64::from(self.server.max_connections) + over
        })
    }
}

/// The sums in words, a line each, as one would do them on paper.
impl fmt::Display for Check<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server { max_connections, reserved, reserve, others } = self.server;
        let budget = self.server.budget();
        writeln!(
            f,
            "budget: {max_connections} max_connections − {reserved} reserved − {reserve} in reserve − {others} for others \
             = {budget}"
        )?;
        let width = self.clients.iter().map(|client| client.name.len()).max().unwrap_or_default();
        writeln!(f, "\nwithout an operator: (replicas + surge) × limit")?;
        for client in self.clients {
            let Client { name, replicas, surge, limit, .. } = client;
            writeln!(f, "  {name:width$}  ({replicas} + {surge}) × {limit} = {}", client.fixed())?;
        }
        self.verdict(f, self.fixed(), width)?;
        writeln!(f, "\nwith an operator: (most replicas + surge + a terminating generation) × floor")?;
        for client in self.clients {
            let Client { name, max_replicas: most, surge, floor, .. } = client;
            writeln!(f, "  {name:width$}  ({most} + {surge} + {most}) × {floor} = {}", client.floors())?;
        }
        self.verdict(f, self.floors(), width)
    }
}

impl Check<'_> {
    fn verdict(&self, f: &mut fmt::Formatter<'_>, sum: u64, width: usize) -> fmt::Result {
        let budget = self.server.budget();
        if sum <= u64::from(budget) {
            writeln!(f, "  {:width$}  {sum} ≤ {budget}: fits", "sum")
        } else {
            writeln!(f, "  {:width$}  {sum} > {budget}: does NOT fit, {}", "sum", self.remedy(sum))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Server = Server { max_connections: 100, reserved: 3, reserve: 4, others: 5 };

    fn client(replicas: u32, max_replicas: u32, limit: u32, floor: u32) -> Client {
        Client { name: "stars".into(), replicas, max_replicas, surge: 1, limit, floor }
    }

    #[test]
    fn the_sums_are_those_of_the_paper() {
        assert_eq!(SERVER.budget(), 88);
        let clients = [client(2, 5, 20, 2), client(1, 3, 14, 6)];
        let check = Check::new(SERVER, &clients);
        assert_eq!((check.fixed(), check.fixed_fits()), (60 + 28, true), "exactly the budget still fits");
        assert_eq!((check.floors(), check.floors_fit()), (22 + 42, true));
        let words = check.to_string();
        for line in ["= 88", "(2 + 1) × 20 = 60", "88 ≤ 88: fits", "(5 + 1 + 5) × 2 = 22", "64 ≤ 88: fits"] {
            assert!(words.contains(line), "{line} in:\n{words}");
        }
    }

    #[test]
    fn one_too_many_is_refused_with_the_remedy() {
        let clients = [client(2, 20, 20, 2), client(1, 2, 15, 2)];
        let check = Check::new(SERVER, &clients);
        assert!(!check.fixed_fits() && !check.floors_fit());
        let words = check.to_string();
        assert!(
            words.contains("90 > 88: does NOT fit, 2 too many") && words.contains("max_connections to 102"),
            "{words}"
        );
    }

    #[test]
    fn a_budget_is_never_less_than_nothing_and_sums_do_not_overflow() {
        let server = Server { max_connections: 5, reserved: 3, reserve: 9, others: u32::MAX };
        assert_eq!(server.budget(), 0);
        let huge = [client(u32::MAX - 1, u32::MAX, 1000, 1000)];
        assert!(!Check::new(server, &huge).fixed_fits());
        assert!(!Check::new(server, &huge).floors_fit());
    }
}
