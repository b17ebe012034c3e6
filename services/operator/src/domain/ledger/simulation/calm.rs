//! What must be so once nothing has gone wrong for a while.

use super::super::{Standing, View};
use super::process::Process;
use super::world::{World, moment};

impl World {
    fn calm_view(&self) -> Result<View, String> {
        let leader = self.leader().ok_or("nobody leads")?;
        let view = leader.view(moment(self.now));
        let pods = self.pods.iter().filter(|pod| pod.object.is_some()).count();
        if view.held.is_some() || view.excess > 0 || view.entries.len() != pods {
            return Err(format!("{pods} pods: {view:#?}"));
        }
        Ok(view)
    }

    /// Every pod is granted what it wants or what there is, nothing is kept for those that are gone, and what was
    /// granted is open.
    pub(super) fn all_is_used(&self) -> Result<(), String> {
        let view = self.calm_view()?;
        for entry in &view.entries {
            let fits = match entry.standing {
                Standing::Satisfied | Standing::OwnPool { .. } => true,
                Standing::Limited { .. } => view.headroom == 0,
                _ => false,
            };
            if !fits {
                return Err(format!("{}: {}, of {view:#?}", entry.name, entry.standing));
            }
        }
        let granted: u32 = view.entries.iter().filter_map(|entry| entry.granted).map(|grant| grant.connections).sum();
        let open: u32 = self.processes.iter().filter(|process| !process.is_fixed).map(|process| process.open).sum();
        let ready = self.processes.iter().filter(|process| process.alive).all(Process::is_ready);
        if granted != open || !ready {
            return Err(format!("{granted} granted, {open} open, of {view:#?}"));
        }
        Ok(())
    }

    /// From now on one pod wants all that it can have, and the others want nothing.
    pub(super) fn one_wants_all(&mut self, chosen: u64) {
        let can_have_more = |process: &Process| process.alive && !process.is_fixed;
        let alive = self.processes.iter().filter(|process| can_have_more(process)).count();
        let chosen = chosen as usize % alive.max(1);
        for (nth, process) in self.processes.iter_mut().filter(|process| can_have_more(process)).enumerate() {
            (process.wanted, process.load) = if nth == chosen { (u32::MAX, u32::MAX) } else { (0, 0) };
        }
    }

    /// It has it, as far as the floors of the others leave it.
    pub(super) fn one_has_all(&self) -> Result<(), String> {
        let view = self.calm_view()?;
        for process in self.processes.iter().filter(|process| process.alive && !process.is_fixed) {
            let wanted = process.wanted.clamp(process.bounds.floor, process.bounds.ceiling);
            let has_it = process.limit() == wanted && process.open == wanted;
            let has_rest = wanted > process.limit() && view.headroom == 0 && process.open == process.limit();
            if !has_it && !has_rest {
                return Err(format!("{:?} has {} of {wanted}, of {view:#?}", process.holder, process.open));
            }
        }
        Ok(())
    }
}
