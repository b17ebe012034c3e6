//! A pod whose pool is its own: what is known of it, and which sessions are its.

use std::collections::BTreeMap;

use super::account::{Account, Presence};
use super::inputs::Unnamed;
use super::names::{Address, PodUid};

/// What is known of a pod whose pool is its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// The address that it connects from. It is kept when the pod is gone, for its sessions may not be.
    pub(super) address: Option<Address>,
    /// The maximum of its pools, as it last said.
    pub(super) most: u32,
    /// Connections that it said it has.
    pub(super) open: u32,
    /// Sessions that the server showed last.
    pub(super) shown: u32,
}

impl Own {
    /// Connections that it may have.
    pub(super) fn at_most(&self, ceiling: u32) -> u32 {
        ceiling.max(self.most).max(self.shown)
    }

    /// Where it connects from, if that is known.
    pub(super) fn comes_from(&mut self, address: Option<&Address>) {
        if let Some(address) = address {
            self.address = Some(address.clone());
        }
    }
}

/// Whose sessions that name no run are: of each pod how many, and those that are nobody's here.
pub(super) fn told_apart(accounts: &BTreeMap<PodUid, Account>, unnamed: &[Unnamed]) -> (BTreeMap<PodUid, u32>, u32) {
    let own: Vec<_> = accounts.iter().filter(|(_, account)| account.own.is_some()).collect();
    let (mut of_pods, mut others) = (BTreeMap::new(), 0_u32);
    for sessions in unnamed {
        let owns = |(_, account): &&(&PodUid, &Account)| account.owns(sessions.address.as_ref(), &sessions.application);
        // An address may have been another pod's before: the one that is there has it now.
        let owner = own.iter().filter(owns).min_by_key(|(_, account)| account.presence == Presence::Gone);
        match owner {
            Some((uid, _)) => {
                let count = of_pods.entry((*uid).clone()).or_insert(0_u32);
                *count = count.saturating_add(sessions.count);
            }
            None => others = others.saturating_add(sessions.count),
        }
    }
    (of_pods, others)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{
        Bounds, Budget, Hello, Holder, Ledger, Look, ObservedPod, Phase, PodSet, Report, ScalerId, ScalerSpec,
    };
    use super::*;
    use crate::domain::moment::Moment;

    const SIZE: u32 = 10;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn spec(size: u32) -> ScalerSpec {
        ScalerSpec { bounds: Bounds { floor: size, ceiling: size }, max_replicas: 2, surge: 1, is_fixed: true }
    }

    fn budget(connections: u32) -> Budget {
        Budget { max_connections: connections, ..Budget::default() }
    }

    fn id() -> ScalerId {
        "shop/java".into()
    }

    /// A leader who has listed and looked, with a scaler of two pods of ten connections that surges by one.
    fn leader(connections: u32) -> Ledger {
        let mut ledger = Ledger::new(budget(connections), [(id(), spec(SIZE))].into());
        ledger.lead(1, at(9_999), at(100));
        lists(&mut ledger, &[], 101);
        looks(&mut ledger, &[], 101);
        ledger
    }

    fn lists(ledger: &mut Ledger, pods: &[(&str, Phase)], now: u64) {
        let pods = pods.iter().map(|(name, phase)| ObservedPod {
            uid: (*name).into(),
            name: (*name).into(),
            scaler: id(),
            phase: *phase,
            bounds: None,
            address: (*phase != Phase::Unbound).then(|| format!("10.0.0.{name}").as_str().into()),
        });
        ledger.pods(&PodSet { listed_at: at(now), pods: pods.collect() }, at(now));
    }

    /// The server shows sessions by address and name.
    fn looks(ledger: &mut Ledger, sessions: &[(&str, &str, u32)], now: u64) {
        let unnamed = sessions.iter().map(|(address, application, count)| Unnamed {
            address: Some(format!("10.0.0.{address}").as_str().into()),
            application: (*application).to_owned(),
            count: *count,
        });
        let look = Look { started_at: at(now), sessions: Vec::new(), unnamed: unnamed.collect(), others: 0 };
        ledger.backends(&look, at(now));
    }

    fn charged(ledger: &Ledger, now: u64) -> (u32, u32) {
        let view = ledger.view(at(now));
        (view.charged, view.set_aside)
    }

    #[test]
    fn each_place_is_worth_the_ceiling_whoever_is_there() {
        let mut ledger = leader(100);
        assert_eq!(charged(&ledger, 101), (0, 50), "five places, before anybody is seen");
        lists(&mut ledger, &[("1", Phase::Unbound), ("2", Phase::Bound)], 102);
        assert_eq!(charged(&ledger, 102), (20, 30), "from its first list, on a node or not");
        looks(&mut ledger, &[("2", "PostgreSQL JDBC Driver", 3), ("9", "psql", 4)], 103);
        assert_eq!(charged(&ledger, 103), (20, 30), "as many as it may open");
        assert_eq!(ledger.view(at(103)).budget, 96, "one address is nobody's here");
        assert!(ledger.grants(at(103)).is_empty());
        let said = ledger.view(at(103)).entries[1].standing.to_string();
        assert!(
            said.starts_with("has a pool of its own, and is charged its maximum") && said.ends_with("shows 3"),
            "{said}"
        );
    }

    #[test]
    fn a_charge_ends_when_the_pod_is_gone_and_the_server_shows_nothing_of_it() {
        let mut ledger = leader(100);
        lists(&mut ledger, &[("1", Phase::Terminating), ("2", Phase::Bound)], 102);
        looks(&mut ledger, &[("1", "", 10), ("2", "", 10)], 103);
        lists(&mut ledger, &[("2", Phase::Bound)], 104);
        for now in 104..130 {
            looks(&mut ledger, &[("1", "", 1), ("2", "", 10)], now);
        }
        assert_eq!(charged(&ledger, 130), (20, 30), "one session is still there");
        for now in 130..160 {
            looks(&mut ledger, &[("2", "", 10)], now);
            assert_eq!(ledger.view(at(now)).entries.len(), 2, "{now}");
        }
        looks(&mut ledger, &[("2", "", 10)], 160);
        assert_eq!((ledger.view(at(160)).entries.len(), charged(&ledger, 160)), (1, (10, 40)));

        // Containers that have ended for good have closed all.
        lists(&mut ledger, &[("2", Phase::Ended)], 161);
        looks(&mut ledger, &[], 163);
        assert_eq!(charged(&ledger, 163), (0, 50));
    }

    #[test]
    fn a_pod_that_has_more_than_was_said_is_charged_that() {
        let mut ledger = leader(100);
        lists(&mut ledger, &[("1", Phase::Bound)], 102);
        ledger.measured(&"1".into(), 20, 4);
        assert_eq!(charged(&ledger, 102), (20, 40), "it says that it may have twenty");
        ledger.measured(&"1".into(), 8, 4);
        assert_eq!(charged(&ledger, 102), (10, 40), "what was said of it counts");
        looks(&mut ledger, &[("1", "", 14)], 103);
        assert_eq!(
            charged(&ledger, 103),
            (14, 40),
            "a container was started anew, and the former's sessions still end"
        );
        looks(&mut ledger, &[("1", "", 10)], 104);
        assert_eq!(charged(&ledger, 104), (10, 40));

        // A ceiling that was said too low is corrected for those that are there too; one that is lowered is for new pods.
        ledger.configure(budget(100), [(id(), spec(12))].into());
        lists(&mut ledger, &[("1", Phase::Bound)], 105);
        assert_eq!(charged(&ledger, 105), (12, 48));
        ledger.configure(budget(100), [(id(), spec(5))].into());
        lists(&mut ledger, &[("1", Phase::Bound), ("2", Phase::Bound)], 106);
        assert_eq!(charged(&ledger, 106).0, 12 + 5);
    }

    #[test]
    fn sessions_are_told_by_name_where_addresses_are_translated() {
        let mut ledger = leader(100);
        lists(&mut ledger, &[("1", Phase::Bound)], 102);
        looks(&mut ledger, &[("77", "1", 10), ("77", "other", 2)], 103);
        assert_eq!((ledger.view(at(103)).budget, charged(&ledger, 103)), (98, (10, 40)));
        looks(&mut ledger, &[("77", "unknown", 10)], 104);
        assert_eq!((ledger.view(at(104)).budget, charged(&ledger, 104)), (90, (10, 40)), "twice, and never not at all");
    }

    #[test]
    fn a_new_leader_takes_nobodys_sessions_for_others_before_it_has_listed() {
        let mut ledger = Ledger::new(budget(100), [(id(), spec(SIZE))].into());
        ledger.lead(1, at(9_999), at(100));
        looks(&mut ledger, &[("1", "", 10)], 101);
        assert_eq!(ledger.view(at(101)).budget, 100);
        lists(&mut ledger, &[("1", Phase::Bound)], 102);
        assert!(ledger.view(at(102)).held.is_some(), "whose sessions those are wasn't known");
        looks(&mut ledger, &[("1", "", 10)], 103);
        let view = ledger.view(at(103));
        assert_eq!((view.held, view.budget, view.charged, view.set_aside), (None, 100, 10, 40));
    }

    /// What is left beside pools of their own is granted to those who take grants, and not more.
    #[test]
    fn others_are_granted_what_is_left() {
        let mut ledger = leader(64);
        let stream =
            ScalerSpec { bounds: Bounds { floor: 2, ceiling: 40 }, max_replicas: 1, surge: 0, is_fixed: false };
        ledger.configure(budget(64), [(id(), spec(SIZE)), ("shop/rust".into(), stream)].into());
        let holder = Holder { pod: "r".into(), boot: "1".into() };
        let bounds = stream.bounds;
        let pod = |name: &str, scaler: ScalerId| ObservedPod {
            uid: name.into(),
            name: name.into(),
            scaler,
            phase: Phase::Bound,
            bounds: None,
            address: Some(name.into()),
        };
        let mut taken = None;
        for now in 102..110 {
            let pods = vec![pod("j", id()), pod("r", "shop/rust".into())];
            ledger.pods(&PodSet { listed_at: at(now), pods }, at(now));
            if now == 102 {
                ledger.attached(&holder, &Hello { name: "r".into(), bounds }, at(now));
            }
            let limit = taken.map_or(0, |(_, limit)| limit);
            let newest = taken.map(|(id, _)| id);
            ledger.report(&holder, &Report { epoch: 1, newest, limit, open: limit }, at(now));
            looks(&mut ledger, &[], now);
            ledger.demands(&[(holder.clone(), 40)].into(), &BTreeMap::new());
            for (to, grant) in ledger.grants(at(now)) {
                assert_eq!(to, holder);
                taken = Some((grant.id, grant.connections));
            }
        }
        // Of 64, five places of ten, and one more place with a floor of two.
        assert_eq!(taken.map(|(_, limit)| limit), Some(12));
    }
}
