//! Into messages.

use std::time::Duration;

use selvage_faults::{Fault, Kind};
use selvage_pool::{Class, LongHeld, Reason, Snapshot, boot_id};
use selvage_proto::operations::v1 as proto;
use selvage_proto::operations::v1::RefusedCount;
use selvage_proto::operations::v1::fault::Kind as ProtoKind;
use selvage_proto::time::timestamp;

/// Operations that are told of one pool.
const MAX_LONG_HELD: usize = 16;

pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration).unwrap_or_default()
}

/// Those who got no connection, the zeros left out.
pub(super) fn refused(seen: &Snapshot) -> Vec<RefusedCount> {
    let all = Class::ALL.into_iter().flat_map(|class| Reason::ALL.map(|reason| (class, reason)));
    all.filter_map(|(class, reason)| {
        let count = seen.refused[class as usize][reason as usize];
        let which = || RefusedCount { class: class.name().to_owned(), reason: reason.name().to_owned(), count };
        (count > 0).then(which)
    })
    .collect()
}

/// How many, and those that hold the longest.
pub(super) fn long_held(mut held: Vec<LongHeld>) -> (u32, Vec<proto::LongHeld>) {
    held.sort_by_key(|held| std::cmp::Reverse(held.held));
    let count = u32::try_from(held.len()).unwrap_or(u32::MAX);
    let told = held.into_iter().take(MAX_LONG_HELD).map(|held| proto::LongHeld {
        operation: held.operation.name.to_owned(),
        class: held.operation.class.name().to_owned(),
        site: held.operation.site.to_string(),
        held: Some(duration(held.held)),
    });
    (count, told.collect())
}

pub(super) fn fault(fault: &Fault) -> proto::Fault {
    proto::Fault {
        fault_id: fault_id(fault.id),
        kind: kind(fault.kind).into(),
        target: fault.target.clone(),
        name: fault.name(),
        start_time: Some(timestamp(fault.start_ms)),
        end_time: Some(timestamp(fault.end_ms)),
        count: fault.count,
        delay: fault.delay.map(duration),
        share_percent: fault.share_percent,
        started_by: fault.by.clone(),
    }
}

fn fault_id(id: u64) -> String {
    format!("fault-{}-{id}", boot_id())
}

fn kind(kind: Kind) -> ProtoKind {
    match kind {
        Kind::SlowQuery => ProtoKind::SlowQuery,
        Kind::HeldConnection => ProtoKind::HeldConnection,
        Kind::LeakedConnection => ProtoKind::LeakedConnection,
        Kind::LockHold => ProtoKind::LockHold,
        Kind::DatabaseLatency => ProtoKind::DatabaseLatency,
        Kind::DependencyFailing => ProtoKind::DependencyFailing,
        Kind::DependencySlow => ProtoKind::DependencySlow,
        Kind::PoolLimit => ProtoKind::PoolLimit,
        Kind::CpuBurn => ProtoKind::CpuBurn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::parse;

    #[test]
    fn what_is_told_is_understood() {
        for known in Kind::ALL {
            assert_eq!(parse::kind(kind(known).into()).unwrap(), known);
        }
        assert_eq!(parse::fault_id(&fault_id(7)).unwrap(), (boot_id().to_owned(), 7));
        assert!(parse::is_for_us(boot_id()).is_ok() && parse::is_for_us("").is_ok());
        assert!(parse::is_for_us("0000000g").is_err() && parse::is_for_us("00000000").is_err());
    }

    #[test]
    fn refusals_are_told_by_class_and_reason() {
        let mut seen = Snapshot::default();
        assert!(refused(&seen).is_empty());
        seen.refused[Class::Sheddable as usize][Reason::WouldWait as usize] = 3;
        let told = refused(&seen);
        assert_eq!((told.len(), told[0].class.as_str(), told[0].reason.as_str()), (1, "sheddable", "would_wait"));
    }
}
