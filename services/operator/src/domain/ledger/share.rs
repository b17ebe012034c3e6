//! Who is granted what now.

use std::collections::BTreeMap;
use std::time::Duration;

use super::account::{Account, Presence, Run};
use super::book::Ledger;
use super::inputs::Phase;
use super::names::{Bounds, Grant, GrantId, Holder, PodUid, ScalerId, total};
use super::split::{Claim, split};
use crate::domain::moment::Moment;

/// A new leader hears pods by then, or they can't reach it: they need up to 20 s to notice that a stream is dead, and
/// some to find the leader.
const HEARD_BY: Duration = Duration::from_secs(30);

/// The whole budget, as it is spoken for. In connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) budget: u32,
    /// What may be open, and the floors of pods that are there.
    pub(super) charged: u32,
    /// Floors of pods that may come.
    pub(super) set_aside: u32,
}

impl Totals {
    /// All that is spoken for.
    pub(super) fn spoken_for(&self) -> u32 {
        self.charged.saturating_add(self.set_aside)
    }

    /// What can be granted in addition.
    pub(super) fn headroom(&self) -> u32 {
        self.budget.saturating_sub(self.spoken_for())
    }

    /// All that is spoken for fits.
    pub(super) fn fits(&self) -> bool {
        self.spoken_for() <= self.budget
    }
}

/// A run that can be granted something now.
struct Seat {
    pod: PodUid,
    run: usize,
    scaler: ScalerId,
    floor: u32,
    /// At the most; of a pod that terminates, what it has.
    wanted: u32,
    charged: u32,
    /// What it is to have at once.
    grant: Option<u32>,
    /// What it is to have once there is room.
    share: u32,
}

impl Ledger {
    /// What is charged to a pod. Mutants leave something out.
    pub(super) fn charge_of(&self, account: &Account, now: Moment) -> u32 {
        #[cfg(test)]
        if self.mutant == Some(super::Mutant::ForgetsTerminating)
            && account.presence == Presence::Listed(Phase::Terminating)
        {
            return 0;
        }
        #[cfg(test)]
        if self.mutant == Some(super::Mutant::TrustsOwnPools)
            && let Some(own) = &account.own
        {
            return own.shown;
        }
        account.charged(now)
    }

    /// Of each scaler's pods: how many are there, or have left something, and the highest floor of any.
    pub(super) fn places_taken(&self) -> BTreeMap<&ScalerId, (u32, u32)> {
        let mut taken = BTreeMap::new();
        for account in self.accounts.values() {
            if let Some(scaler) = &account.scaler {
                let (places, floor) = taken.entry(scaler).or_insert((0_u32, 0_u32));
                // Each of several runs has a floor charged of its own.
                *places += u32::try_from(account.runs.len()).unwrap_or(u32::MAX).max(1);
                *floor = account.bounds.floor.max(*floor);
            }
        }
        taken
    }

    pub(super) fn totals(&self, now: Moment) -> Totals {
        let accounts = total(self.accounts.values().map(|account| self.charge_of(account, now)));
        let taken = self.places_taken();
        let floor_of = |id: &ScalerId| {
            let of_spec = self.scalers.get(id).map_or(0, |scaler| scaler.spec.bounds.floor);
            of_spec.max(taken.get(id).map_or(0, |(_, floor)| *floor))
        };
        let to_come = self.scalers.iter().map(|(id, scaler)| {
            let taken = taken.get(id).map_or(0, |(places, _)| *places);
            self.places(scaler.spec).saturating_sub(taken).saturating_mul(floor_of(id))
        });
        // A pod with a lower floor makes room for one with a higher: its template was changed.
        let to_follow = self
            .accounts
            .values()
            .map(|account| account.scaler.as_ref().map_or(0, |scaler| account.lacks(floor_of(scaler), now)));
        let charged = accounts.saturating_add(self.charge_of_strays());
        Totals { budget: self.purse.connections(), charged, set_aside: total(to_come.chain(to_follow)) }
    }

    fn charge_of_strays(&self) -> u32 {
        total(self.strays.values().map(|stray| stray.shown.max(self.largest_ceiling())))
    }

    fn places(&self, spec: super::ScalerSpec) -> u32 {
        #[cfg(test)]
        if self.mutant == Some(super::Mutant::ForgetsSurge) {
            return spec.places() - spec.surge;
        }
        #[cfg(test)]
        if self.mutant == Some(super::Mutant::TrustsOwnPools) && spec.is_fixed {
            return 0;
        }
        spec.places()
    }

    /// What a pod of an unknown scaler is believed to need.
    pub(super) fn largest_bounds(&self) -> Bounds {
        let of_specs = self.scalers.values().map(|scaler| scaler.spec.bounds);
        let of_pods = self.accounts.values().map(|account| account.bounds);
        of_specs.chain(of_pods).fold(Bounds { floor: 0, ceiling: 0 }, Bounds::or)
    }

    /// What a run of an unknown pod may have.
    pub(super) fn largest_ceiling(&self) -> u32 {
        let of_specs = self.scalers.values().map(|scaler| scaler.spec.bounds.ceiling);
        of_specs.chain(self.accounts.values().map(|account| account.bounds.ceiling)).max().unwrap_or(0)
    }

    /// Divides the connections anew, and says what is to be sent: each grant that its holder hasn't confirmed yet. To
    /// be called each second or more often, and sent as it is; to send one twice, late or not at all does no harm.
    /// Empty for whoever isn't the leader.
    pub fn grants(&mut self, now: Moment) -> Vec<(Holder, Grant)> {
        if !self.is_leading(now) {
            return Vec::new();
        }
        self.divide(now);
        let unconfirmed = |run: &Run| run.newest.filter(|grant| run.charge.accepted() != Some(grant.id));
        self.accounts
            .iter()
            .filter(|(_, account)| account.is_served())
            .flat_map(|(uid, account)| account.runs.iter().map(move |run| (uid, run)))
            .filter(|(_, run)| run.attached)
            .filter_map(|(uid, run)| {
                let holder = Holder { pod: uid.clone(), boot: run.boot.clone() };
                unconfirmed(run).map(|grant| (holder, grant))
            })
            .collect()
    }

    fn divide(&mut self, now: Moment) {
        let totals = self.totals(now);
        if totals.fits() {
            self.scalers.values_mut().for_each(|scaler| scaler.provided = scaler.spec.places());
        }
        let mut seats = self.seats(now);
        self.set_shares(&mut seats, totals, now);
        self.first_grants_and_shrinks(&mut seats, now);
        if totals.fits() && self.reign.is_some_and(|reign| reign.listed && reign.looked) {
            self.grow(&mut seats, totals);
        }
        for seat in seats {
            self.write(&seat);
        }
    }

    fn seats(&self, now: Moment) -> Vec<Seat> {
        let mut seats = Vec::new();
        for (uid, account) in self.accounts.iter().filter(|(_, account)| account.is_served()) {
            let Some(scaler) = &account.scaler else { continue };
            for (index, run) in
                account.runs.iter().enumerate().filter(|(_, run)| run.attached && run.reported && !run.is_beyond())
            {
                let has = run.has();
                let wanted = run.bounds.clamp(run.wanted.unwrap_or(has));
                let ends = account.presence == Presence::Listed(Phase::Terminating);
                seats.push(Seat {
                    pod: uid.clone(),
                    run: index,
                    scaler: scaler.clone(),
                    floor: run.bounds.floor,
                    wanted: if ends { wanted.min(run.bounds.clamp(has)) } else { wanted },
                    charged: run.charged(now),
                    grant: None,
                    share: run.bounds.floor,
                });
            }
        }
        seats
    }

    /// What each should have, were all charges as they are to become: weighted max-min of what is above the floors,
    /// first between scalers, then between the holders of each. Nobody is to come down for pods that a new leader
    /// merely hasn't heard yet.
    fn set_shares(&self, seats: &mut [Seat], totals: Totals, now: Moment) {
        let movable = total(seats.iter().map(|seat| seat.charged));
        let floors = total(seats.iter().map(|seat| seat.floor));
        let is_new = self.reign.is_some_and(|reign| now.since(reign.since) < HEARD_BY);
        let unheard = total(self.accounts.values().filter(|_| is_new).map(|account| account.merely_unheard(now)));
        let fixed = totals.spoken_for().saturating_sub(movable.saturating_add(unheard));
        let above = totals.budget.saturating_sub(fixed.saturating_add(floors));
        let wants: Vec<_> = seats.iter().map(|seat| seat.wanted - seat.floor).collect();
        let shares = self.split_by_scaler(above, &wants, seats);
        for (seat, extra) in seats.iter_mut().zip(shares) {
            seat.share = seat.floor + extra;
        }
    }

    fn split_by_scaler(&self, available: u32, wants: &[u32], seats: &[Seat]) -> Vec<u32> {
        let mut of_scaler: BTreeMap<&ScalerId, Vec<usize>> = BTreeMap::new();
        for (index, seat) in seats.iter().enumerate() {
            of_scaler.entry(&seat.scaler).or_default().push(index);
        }
        let claims: Vec<_> = of_scaler
            .iter()
            .map(|(id, members)| Claim {
                wanted: total(members.iter().map(|index| wants[*index])),
                weight: self.scalers.get(*id).map_or(1, |scaler| scaler.weight),
            })
            .collect();
        let mut shares = vec![0; wants.len()];
        for (members, available) in of_scaler.values().zip(split(available, &claims)) {
            let claims: Vec<_> = members.iter().map(|index| Claim { wanted: wants[*index], weight: 1 }).collect();
            for (index, share) in members.iter().zip(split(available, &claims)) {
                shares[*index] = share;
            }
        }
        shares
    }

    /// What needs no headroom: smaller grants, what a former leader gave, and floors that have been set aside.
    fn first_grants_and_shrinks(&self, seats: &mut [Seat], now: Moment) {
        let charged = total(self.accounts.values().map(|account| account.charged_without_waiting(now)));
        let mut open_at_most = charged.saturating_add(self.charge_of_strays());
        let taken = self.places_taken();
        // What nobody knows the scaler of may take a place of any.
        let unknown = self.strays.len() + self.accounts.values().filter(|account| account.scaler.is_none()).count();
        let unknown = u32::try_from(unknown).unwrap_or(u32::MAX);
        for seat in seats {
            let run = &self.accounts[&seat.pod].runs[seat.run];
            let has = run.has();
            let provided = self.scalers.get(&seat.scaler).is_some_and(|scaler| {
                let taken = taken[&seat.scaler].0.saturating_add(unknown);
                scaler.spec.bounds.floor >= seat.floor && taken <= scaler.provided
            });
            let adds = if run.waits(now) { seat.floor } else { 0 };
            let fits = open_at_most.saturating_add(adds) <= self.purse.connections();
            seat.grant = if has >= seat.floor {
                Some(run.bounds.clamp(has))
            } else if provided || fits {
                open_at_most = open_at_most.saturating_add(adds);
                Some(seat.floor)
            } else {
                run.newest.map(|grant| grant.connections)
            };
            seat.grant = seat.grant.map(|grant| grant.min(seat.share));
        }
    }

    /// Larger grants: up to what is charged to their holders anyway, and beyond that out of what is charged to nobody.
    fn grow(&self, seats: &mut [Seat], totals: Totals) {
        let free = |seat: &Seat| seat.grant.map(|grant| grant.max(seat.charged).min(seat.share));
        let wants: Vec<_> = seats.iter().map(|seat| free(seat).map_or(0, |free| seat.share - free)).collect();
        for (index, extra) in self.split_by_scaler(totals.headroom(), &wants, seats).into_iter().enumerate() {
            let seat = &mut seats[index];
            seat.grant = free(seat).map(|free| free + extra);
        }
    }

    fn write(&mut self, seat: &Seat) {
        let (Some(reign), Some(account)) = (&mut self.reign, self.accounts.get_mut(&seat.pod)) else { return };
        let Some(run) = account.runs.get_mut(seat.run) else { return };
        run.share = seat.share;
        let Some(connections) = seat.grant else { return };
        if run.newest.is_some_and(|grant| grant.connections == connections) {
            return;
        }
        reign.sequence += 1;
        let grant = Grant { id: GrantId { epoch: reign.epoch, sequence: reign.sequence }, connections };
        run.newest = Some(grant);
        run.charge.granted(grant);
    }
}
