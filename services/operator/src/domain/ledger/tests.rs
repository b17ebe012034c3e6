//! The ledger, one situation at a time. `simulation` has all of them at once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::domain::moment::Moment;

const BOUNDS: Bounds = Bounds { floor: 2, ceiling: 12 };

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

fn holder(pod: &str, boot: &str) -> Holder {
    Holder { pod: pod.into(), boot: boot.into() }
}

/// A ledger with the pods that it knows, each of which does at once what it is granted.
struct Shop {
    ledger: Ledger,
    now: u64,
    pods: BTreeMap<String, Phase>,
    /// Runs that have a stream, with the grant that they took and what they have open.
    runs: BTreeMap<Holder, (Option<Grant>, u32)>,
    /// Sessions of runs that have ended.
    left: BTreeMap<Holder, u32>,
    wanted: u32,
}

impl Shop {
    /// A leader since second 100, with `connections` for pods of a scaler of at most two replicas that surges by one:
    /// five places.
    fn new(connections: u32) -> Self {
        let mut shop = Self::of_follower(connections);
        shop.lead(1);
        shop.tick();
        shop
    }

    fn of_follower(connections: u32) -> Self {
        let ledger = Ledger::new(budget(connections), scalers(2));
        let (pods, runs, left) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { ledger, now: 100, pods, runs, left, wanted: 12 }
    }

    fn lead(&mut self, epoch: u64) {
        self.ledger.lead(epoch, at(self.now + 1_000), at(self.now));
    }

    fn lists(&mut self, listed_at: u64) {
        let pods = self.pods.iter().map(|(uid, phase)| ObservedPod {
            uid: uid.as_str().into(),
            name: uid.as_str().into(),
            scaler: "shop/cart".into(),
            phase: *phase,
            bounds: None,
            address: None,
        });
        let set = PodSet { listed_at: at(listed_at), pods: pods.collect() };
        self.ledger.pods(&set, at(self.now));
    }

    fn looks(&mut self) {
        let open = self.runs.iter().map(|(holder, (_, open))| (holder, *open));
        let shown = open.chain(self.left.iter().map(|(holder, left)| (holder, *left)));
        let shown = shown.map(|(holder, count)| Sessions {
            boot: holder.boot.clone(),
            pod: PodName::from(holder.pod.as_str()),
            count,
        });
        let look = Look { started_at: at(self.now), sessions: shown.collect(), unnamed: Vec::new(), others: 0 };
        self.ledger.backends(&look, at(self.now));
    }

    fn begins(&mut self, pod: &str, boot: &str) {
        if self.pods.insert(pod.to_owned(), Phase::Bound).is_none() {
            self.lists(self.now);
        }
        let hello = Hello { name: pod.into(), bounds: BOUNDS };
        self.ledger.attached(&holder(pod, boot), &hello, at(self.now));
        self.runs.entry(holder(pod, boot)).or_default();
    }

    fn ends(&mut self, pod: &str, boot: &str) {
        self.ledger.detached(&holder(pod, boot), at(self.now));
        if let Some((_, open)) = self.runs.remove(&holder(pod, boot)) {
            self.left.insert(holder(pod, boot), open);
        }
    }

    fn reports(&mut self, epoch: u64) {
        for (holder, (grant, open)) in &self.runs {
            let (newest, limit) = (grant.map(|grant| grant.id), grant.map_or(0, |grant| grant.connections));
            self.ledger.report(holder, &Report { epoch, newest, limit, open: *open }, at(self.now));
        }
    }

    fn grants(&mut self) {
        let wanted = self.runs.keys().map(|holder| (holder.clone(), self.wanted)).collect();
        self.ledger.demands(&wanted, &BTreeMap::new());
        for (holder, grant) in self.ledger.grants(at(self.now)) {
            if let Some(run) = self.runs.get_mut(&holder) {
                *run = (Some(grant), grant.connections);
            }
        }
    }

    /// A second with all that belongs to it.
    fn tick(&mut self) {
        self.now += 1;
        self.lists(self.now);
        self.looks();
        let epoch = self.ledger.view(at(self.now)).epoch.unwrap_or(0);
        self.reports(epoch);
        self.grants();
    }

    fn ticks(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| self.tick());
    }

    fn has(&self, pod: &str, boot: &str) -> u32 {
        self.runs[&holder(pod, boot)].1
    }

    fn view(&self) -> View {
        self.ledger.view(at(self.now))
    }

    fn standing(&self, pod: &str) -> String {
        let view = self.view();
        let entry = view.entries.iter().find(|entry| entry.name.as_str() == pod).expect("there is such a pod");
        format!("{} {}", entry.charged, entry.standing)
    }
}

fn budget(connections: u32) -> Budget {
    Budget { max_connections: connections + 3, superuser_reserved: 3, ..Budget::default() }
}

fn scalers(max_replicas: u32) -> BTreeMap<ScalerId, ScalerSpec> {
    [("shop/cart".into(), ScalerSpec { bounds: BOUNDS, max_replicas, surge: 1, is_fixed: false })].into()
}

#[test]
fn pods_share_what_the_floors_of_the_free_places_leave() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.begins("b", "1");
    shop.ticks(3);
    // Three places are free, so 6 of 24 are set aside.
    assert_eq!((shop.has("a", "1"), shop.has("b", "1")), (9, 9));
    assert_eq!(shop.standing("a"), "9 wants 12, and has its share of what there is");
    let view = shop.view();
    assert_eq!((view.budget, view.charged, view.set_aside, view.headroom), (24, 18, 6, 0));
    let of_scaler = view.scalers[&"shop/cart".into()];
    assert_eq!(of_scaler, ScalerView { places: 5, provided: 5, taken: 2 });
}

#[test]
fn a_roll_out_goes_on_though_everything_is_granted() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.begins("b", "1");
    shop.ticks(3);
    shop.begins("c", "1");
    shop.tick();
    assert_eq!(shop.has("c", "1"), 2, "its floor is there at once");
    assert_eq!(shop.view().excess, 0);
    shop.ticks(4);
    assert_eq!(["a", "b", "c"].map(|pod| shop.has(pod, "1")), [7, 7, 6], "and then its share");
    shop.pods.insert("a".into(), Phase::Terminating);
    shop.wanted = 20;
    shop.tick();
    assert_eq!(shop.has("a", "1"), 7, "it keeps what it has while it ends, and gets no more");
}

#[test]
fn a_pod_that_never_attaches_has_its_floor_kept() {
    let mut shop = Shop::new(24);
    shop.tick();
    shop.pods.insert("a".into(), Phase::Bound);
    shop.ticks(100);
    assert_eq!(shop.standing("a"), "2 never attached: its floor is kept for it");
}

#[test]
fn without_a_stream_a_pod_stays_charged_for_as_long_as_it_exists() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.ticks(3);
    shop.ledger.detached(&holder("a", "1"), at(shop.now));
    shop.wanted = 2;
    shop.ticks(60);
    assert_eq!(shop.standing("a"), "12 is without a stream for 60 s: it keeps its last grant, and stays charged");
}

#[test]
fn what_a_pod_had_that_is_gone_is_free_once_the_server_shows_none_of_it_for_30_seconds() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.ticks(3);
    shop.pods.clear();
    shop.ends("a", "1");
    shop.ticks(60);
    let says = "12 is gone, and charged until the server has shown no session of it for up to 30 s; it shows 12";
    assert_eq!(shop.standing("a"), says);
    shop.left.clear();
    shop.ticks(30);
    assert_eq!(shop.view().charged, 12, "it may be on its way back");
    shop.ticks(2);
    assert_eq!(shop.view().charged, 0);
}

#[test]
fn of_a_pod_whose_containers_have_ended_one_look_suffices() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.ticks(3);
    shop.pods.insert("a".into(), Phase::Ended);
    shop.ends("a", "1");
    shop.left.clear();
    shop.tick();
    shop.pods.clear();
    shop.tick();
    assert_eq!(shop.view().charged, 0);
}

#[test]
fn a_container_that_was_restarted_is_charged_beside_its_former_run() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.ticks(3);
    shop.ends("a", "1");
    shop.begins("a", "2");
    shop.ticks(3);
    assert_eq!(shop.view().entries.iter().map(|entry| entry.charged).collect::<Vec<_>>(), [12, 6]);
    shop.left.clear();
    shop.ticks(40);
    assert_eq!(shop.has("a", "2"), 12);
    assert_eq!(shop.view().charged, 12);
}

#[test]
fn a_new_leader_assumes_the_most_and_grants_again_what_there_is() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.begins("b", "1");
    shop.ticks(3);
    let runs = shop.runs.clone();
    shop.lead(2);
    assert_eq!(shop.view().held, Some("the pods haven't been listed since this leader began"));
    shop.lists(shop.now);
    assert_eq!(shop.view().held, Some("the server's sessions haven't been seen since this leader began"));
    assert_eq!(shop.standing("a"), "12 was there before this leader, and is charged at its ceiling until it reports");
    shop.begins("a", "1");
    shop.reports(2);
    shop.grants();
    let (grant, open) = shop.runs[&holder("a", "1")];
    assert_eq!((grant.map(|grant| grant.id.epoch), open), (Some(2), 9), "it comes down for nobody who is only unheard");
    assert_eq!(shop.runs[&holder("b", "1")], runs[&holder("b", "1")]);
    shop.begins("b", "1");
    for _ in 0..6 {
        shop.tick();
        assert_eq!((shop.has("a", "1"), shop.has("b", "1")), (9, 9));
    }
    assert_eq!(shop.view().charged, 18);
}

#[test]
fn sessions_that_nobody_knows_keep_a_new_leader_from_granting_more() {
    let mut shop = Shop::of_follower(24);
    shop.left.insert(holder("long-gone", "9"), 3);
    shop.lead(1);
    shop.tick();
    shop.begins("a", "1");
    shop.ticks(3);
    assert_eq!(shop.has("a", "1"), 4, "12 of 24 are charged to that one, and 8 set aside");
    assert!(shop.standing("long-gone").starts_with("12 is of a pod that isn't known"));
    shop.left.clear();
    shop.ticks(32);
    assert_eq!(shop.has("a", "1"), 12);
}

#[test]
fn whoever_has_no_lease_grants_nothing() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.lists(shop.now);
    shop.reports(1);
    assert!(!shop.ledger.clone().grants(at(shop.now)).is_empty());
    assert!(shop.ledger.grants(at(shop.now + 1_000)).is_empty(), "it has lapsed");
    shop.ledger.stop_leading(at(shop.now));
    assert!(shop.ledger.grants(at(shop.now)).is_empty());
    assert_eq!(shop.view().held, Some("this process isn't the leader"));
    shop.lead(1);
    assert!(!shop.ledger.grants(at(shop.now)).is_empty(), "nobody else led in between");
}

#[test]
fn a_pod_that_knows_a_later_leader_makes_this_one_stop() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.ticks(2);
    shop.reports(2);
    assert!(!shop.ledger.is_leading(at(shop.now)));
    assert_eq!(shop.ledger.latest_epoch(), 2);
    shop.lead(1);
    assert!(shop.ledger.is_leading(at(shop.now)), "unless the Lease says otherwise");
}

#[test]
fn a_set_that_is_older_than_one_before_is_ignored() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.ticks(3);
    shop.pods.clear();
    shop.lists(50);
    assert!(shop.standing("a").ends_with("has what it wants"));
}

#[test]
fn beyond_the_plan_a_pod_waits_for_its_floor_until_there_is_room() {
    let mut shop = Shop::new(11);
    for pod in ["a", "b", "c", "d", "e"] {
        shop.begins(pod, "1");
    }
    shop.ticks(3);
    assert_eq!(shop.view().charged, 11, "five floors, and one connection more");
    shop.begins("f", "1");
    shop.ticks(3);
    assert_eq!(shop.has("f", "1"), 0);
    assert_eq!(shop.standing("f"), "2 waits for its first grant: its floor doesn't fit into the budget yet");
    shop.pods.insert("a".into(), Phase::Ended);
    shop.ends("a", "1");
    shop.left.clear();
    shop.ticks(3);
    assert_eq!(shop.has("f", "1"), 2);
}

#[test]
fn more_replicas_are_provided_for_once_others_have_come_down() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.begins("b", "1");
    shop.ticks(3);
    shop.ledger.configure(budget(24), scalers(4));
    shop.grants();
    let of_scaler = |shop: &Shop| shop.view().scalers[&"shop/cart".into()];
    assert_eq!(of_scaler(&shop), ScalerView { places: 9, provided: 5, taken: 2 });
    assert_eq!(shop.view().excess, 8);
    shop.ticks(4);
    assert_eq!(of_scaler(&shop).provided, 9);
    assert_eq!((shop.has("a", "1"), shop.has("b", "1")), (5, 5));
}

#[test]
fn a_smaller_budget_takes_back_and_a_larger_one_gives() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.begins("b", "1");
    shop.ticks(3);
    shop.ledger.configure(budget(14), scalers(2));
    shop.ticks(1);
    assert_eq!((shop.has("a", "1"), shop.has("b", "1")), (4, 4));
    shop.ticks(3);
    assert_eq!((shop.view().charged, shop.view().excess), (8, 0));
    shop.ledger.configure(budget(40), scalers(2));
    shop.ticks(1);
    assert_eq!((shop.has("a", "1"), shop.has("b", "1")), (12, 12));
}

#[test]
fn a_weightier_scaler_has_more() {
    let mut shop = Shop::of_follower(40);
    let mut both = scalers(2);
    both.insert("shop/web".into(), both[&"shop/cart".into()]);
    shop.ledger.configure(budget(40), both);
    shop.lead(1);
    let mut pods = Vec::new();
    for (pod, scaler) in [("a", "shop/cart"), ("b", "shop/web")] {
        let uid: PodUid = pod.into();
        let scaler = scaler.into();
        pods.push(ObservedPod { uid, name: pod.into(), scaler, phase: Phase::Bound, bounds: None, address: None });
        shop.begins(pod, "1");
    }
    shop.ledger.demands(&BTreeMap::new(), &[("shop/web".into(), 3)].into());
    for _ in 0..4 {
        shop.now += 1;
        shop.ledger.pods(&PodSet { listed_at: at(shop.now), pods: pods.clone() }, at(shop.now));
        shop.looks();
        shop.reports(1);
        shop.grants();
    }
    assert_eq!((shop.has("a", "1"), shop.has("b", "1")), (12, 12), "there is enough for both");
    shop.ledger.configure(budget(32), shop_scalers());
    for _ in 0..4 {
        shop.now += 1;
        shop.ledger.pods(&PodSet { listed_at: at(shop.now), pods: pods.clone() }, at(shop.now));
        shop.looks();
        shop.reports(1);
        shop.grants();
    }
    assert_eq!((shop.has("a", "1"), shop.has("b", "1")), (5, 11), "of 12 above the floors, a quarter and three");
}

fn shop_scalers() -> BTreeMap<ScalerId, ScalerSpec> {
    let mut both = scalers(2);
    both.insert("shop/web".into(), both[&"shop/cart".into()]);
    both
}

#[test]
fn a_pod_with_a_lower_floor_keeps_the_place_of_one_with_a_higher() {
    let mut shop = Shop::new(24);
    let pod = ObservedPod {
        uid: "old".into(),
        name: "old".into(),
        scaler: "shop/cart".into(),
        phase: Phase::Bound,
        bounds: Some(Bounds { floor: 1, ceiling: 4 }),
        address: None,
    };
    shop.ledger.pods(&PodSet { listed_at: at(shop.now), pods: vec![pod] }, at(shop.now));
    let view = shop.view();
    assert_eq!((view.charged, view.set_aside), (1, 9), "the pod that follows it opens one more");
}

#[test]
fn a_name_that_is_cut_and_a_boot_id_that_two_pods_chose_are_told_apart() {
    let mut shop = Shop::new(40);
    let long = "a-service-with-a-rather-long-name-7d9c5b9f64-x2x7k-and-more";
    for pod in [long, "b"] {
        shop.begins(pod, "1");
    }
    shop.wanted = 2;
    shop.ticks(3);
    let sessions = |pod: &str, count| Sessions { boot: "1".into(), pod: pod.into(), count };
    let shown = vec![sessions(&long[..54], 5), sessions("b", 2)];
    let look = Look { started_at: at(shop.now), sessions: shown, unnamed: Vec::new(), others: 0 };
    shop.ledger.backends(&look, at(shop.now));
    let charges: Vec<_> = shop.view().entries.iter().map(|entry| entry.charged).collect();
    assert_eq!(charges, [5, 2]);
}

#[test]
fn a_leader_whose_lease_lapsed_for_a_while_looks_for_what_pods_left_meanwhile() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.ticks(3);
    shop.ledger.stop_leading(at(shop.now));
    shop.pods.clear();
    shop.lists(shop.now);
    assert_eq!(shop.view().entries, [], "it needn't remember what it won't see end");
    shop.now += 60;
    shop.lead(1);
    assert_eq!(shop.view().held, Some("the server's sessions haven't been seen since this leader began"));
    shop.looks();
    assert_eq!((shop.view().held, shop.view().charged), (None, 12), "its sessions are still there");
}

#[test]
fn a_pod_that_says_hello_again_with_one_pool_more_is_granted_that_ones_floor() {
    let mut shop = Shop::new(24);
    shop.begins("a", "1");
    shop.wanted = 2;
    shop.ticks(3);
    let hello = Hello { name: "a".into(), bounds: Bounds { floor: 5, ceiling: 15 } };
    shop.ledger.attached(&holder("a", "1"), &hello, at(shop.now));
    shop.tick();
    assert_eq!((shop.has("a", "1"), shop.view().charged), (5, 5));
}

#[test]
fn a_pod_that_asks_for_more_than_its_scaler_allows_is_granted_and_charged_no_more_than_that() {
    let mut shop = Shop::new(40);
    for pod in ["a", "b"] {
        shop.begins(pod, "1");
    }
    shop.wanted = 6;
    shop.ticks(3);
    let before = (shop.view().set_aside, shop.view().budget);
    assert_eq!((shop.has("a", "1"), shop.has("b", "1")), (6, 6));

    // Absurd, and by far more than there is.
    let absurd = |floor, ceiling| Hello { name: "b".into(), bounds: Bounds { floor, ceiling } };
    shop.ledger.attached(&holder("b", "1"), &absurd(7, 30_000), at(shop.now));
    shop.wanted = 30_000;
    shop.ticks(3);
    assert_eq!((shop.has("a", "1"), shop.has("b", "1")), (12, 12), "its scaler's ceiling, like everybody else");
    assert_eq!((shop.view().set_aside, shop.view().budget), before, "and no more is set aside for those that come");
    let excess = shop.view().entries.iter().find_map(|entry| Some((entry.name.to_string(), entry.excess?)));
    let (asked, believed) = (Bounds { floor: 7, ceiling: 30_000 }, BOUNDS);
    assert_eq!(excess, Some(("b".to_owned(), Excess { asked, believed })));

    // A new run that can't do with what it may have at the most.
    shop.ends("b", "1");
    shop.left.clear();
    shop.begins("b", "2");
    shop.ledger.attached(&holder("b", "2"), &absurd(20_000, 30_000), at(shop.now));
    shop.ticks(33);
    assert_eq!(shop.has("b", "2"), 0);
    assert!(shop.standing("b").starts_with("12 is granted nothing: the floors of its pools add up to 20000"));
    assert_eq!((shop.has("a", "1"), shop.view().set_aside, shop.view().excess), (12, before.0, 0));
}

#[test]
fn a_stranger_that_asks_for_everything_is_charged_what_a_pod_may_have() {
    let mut shop = Shop::new(40);
    let hello = Hello { name: "x".into(), bounds: Bounds { floor: 900, ceiling: 30_000 } };
    shop.ledger.attached(&holder("x", "1"), &hello, at(shop.now));
    assert_eq!(shop.view().charged, 12, "a former leader may have granted it no more");
    // The API server shows it later, as a pod of the scaler.
    shop.begins("x", "2");
    shop.ticks(3);
    assert!(shop.view().entries.iter().all(|entry| entry.charged <= 12), "{:?}", shop.view().entries);
}

#[test]
fn a_process_without_an_object_is_charged_no_less_once_it_says_hello() {
    let mut shop = Shop::of_follower(24);
    shop.left.insert(holder("gone", "9"), 3);
    shop.lead(1);
    shop.ticks(2);
    assert!(shop.standing("gone").starts_with("12 is of a pod that isn't known"));
    let hello = Hello { name: "gone".into(), bounds: BOUNDS };
    shop.ledger.attached(&holder("gone", "9"), &hello, at(shop.now));
    shop.ticks(3);
    assert_eq!(shop.standing("gone"), "12 is attached, and the API server hasn't shown its pod yet");
    assert_eq!(shop.view().charged, 12);
    let known = Report { epoch: 1, newest: None, limit: 9, open: 3 };
    shop.ledger.report(&holder("gone", "9"), &known, at(shop.now));
    shop.ticks(2);
    assert_eq!(shop.view().charged, 9, "it may open what it says that it may");
}

#[test]
fn what_nobody_knows_the_scaler_of_may_have_taken_a_place() {
    let mut shop = Shop::of_follower(10);
    shop.left.insert(holder("gone", "9"), 1);
    shop.lead(1);
    shop.tick();
    for pod in ["a", "b", "c", "d", "e"] {
        shop.begins(pod, "1");
    }
    shop.ticks(3);
    let all_have = ["a", "b", "c", "d", "e"].iter().all(|pod| shop.has(pod, "1") == 2);
    assert!(!all_have, "there are 10, and that one may be one of five");
    shop.left.clear();
    shop.ticks(33);
    assert_eq!(["a", "b", "c", "d", "e"].map(|pod| shop.has(pod, "1")), [2; 5]);
}
