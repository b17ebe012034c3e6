//! From messages; each wrong field is named.

use std::time::Duration;

use selvage_faults::{Ask, Kind, Refused};
use selvage_proto::operations::v1::StartFaultRequest;
use selvage_proto::operations::v1::fault::Kind as ProtoKind;
use selvage_status::{Error, ErrorCode, FieldViolations, Result};

pub(super) fn ask(request: StartFaultRequest, by: &str) -> Result<Ask> {
    let mut violations = FieldViolations::default();
    let kind = violations.value("kind", kind(request.kind), "must be one of those that there are");
    let lasts = violations.value("duration", request.duration, "is needed: 1 s to 10 min");
    let lasts = lasts.and_then(|lasts| duration(&mut violations, "duration", lasts));
    // `None` where it is wrong, `Some(None)` where there is none.
    let delay = match request.delay {
        Some(delay) => duration(&mut violations, "delay", delay).map(Some),
        None => Some(None),
    };
    violations.finish(kind.zip(lasts).zip(delay).map(|((kind, duration), delay)| Ask {
        kind,
        target: request.target,
        duration,
        count: request.count,
        delay,
        share_percent: request.share_percent,
        by: by.to_owned(),
    }))
}

pub(super) fn kind(kind: i32) -> Option<Kind> {
    Some(match ProtoKind::try_from(kind) {
        Ok(ProtoKind::SlowQuery) => Kind::SlowQuery,
        Ok(ProtoKind::HeldConnection) => Kind::HeldConnection,
        Ok(ProtoKind::LeakedConnection) => Kind::LeakedConnection,
        Ok(ProtoKind::LockHold) => Kind::LockHold,
        Ok(ProtoKind::DatabaseLatency) => Kind::DatabaseLatency,
        Ok(ProtoKind::DependencyFailing) => Kind::DependencyFailing,
        Ok(ProtoKind::DependencySlow) => Kind::DependencySlow,
        Ok(ProtoKind::PoolLimit) => Kind::PoolLimit,
        Ok(ProtoKind::CpuBurn) => Kind::CpuBurn,
        Ok(ProtoKind::Unspecified) | Err(_) => return None,
    })
}

/// The process that a fault is of, by its boot id, and the fault's number there.
pub(super) fn fault_id(text: &str) -> Result<(String, u64)> {
    let parts = text.strip_prefix("fault-").and_then(|rest| rest.split_once('-'));
    let parts = parts.filter(|(boot_id, _)| is_boot_id(boot_id));
    let id = parts.and_then(|(boot_id, number)| Some((boot_id.to_owned(), number.parse().ok()?)));
    id.ok_or_else(|| Error::invalid("fault_id", "must be the id of a fault, for example fault-1a2b3c4d-1"))
}

fn is_boot_id(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Refuses what is meant for another process, which a balancer or an address that was given anew has led here; an empty boot
/// id means whoever is reached.
pub(super) fn is_for_us(boot_id: &str) -> Result<()> {
    if !boot_id.is_empty() && !is_boot_id(boot_id) {
        return Err(Error::invalid("boot_id", "must be 8 hexadecimal digits, or empty"));
    }
    if boot_id.is_empty() || boot_id == selvage_pool::boot_id() {
        return Ok(());
    }
    let words = "this process isn't the one that was named: ask that one, at its own address";
    Err(Error::precondition("OTHER_PROCESS", words))
}

fn duration(violations: &mut FieldViolations, field: &str, duration: prost_types::Duration) -> Option<Duration> {
    violations.value(field, Duration::try_from(duration).ok(), "must not be negative")
}

/// Why a fault wasn't started or ended.
pub(super) fn refused(refused: Refused) -> Error {
    let words = refused.to_string();
    match refused {
        Refused::NotAllowed => Error::precondition("FAULTS_REFUSED", words),
        Refused::Wrong { field, description } => Error::invalid(field, description),
        Refused::Full => Error::new(ErrorCode::ResourceExhausted, words),
        Refused::Unknown => Error::not_found("such fault that is active"),
        Refused::Stopping => Error::new(ErrorCode::Unavailable, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let negative = || Some(prost_types::Duration { seconds: -1, nanos: 0 });
        let request = StartFaultRequest { duration: negative(), delay: negative(), ..StartFaultRequest::default() };
        let refused = ask(request, "somebody").unwrap_err().to_string();
        assert!(["kind", "duration", "delay"].iter().all(|field| refused.contains(field)), "{refused}");
        let kind = ProtoKind::SlowQuery.into();
        let lasts = Some(prost_types::Duration { seconds: 5, nanos: 0 });
        let right =
            ask(StartFaultRequest { kind, duration: lasts, ..StartFaultRequest::default() }, "somebody").unwrap();
        assert_eq!((right.duration, right.delay), (Duration::from_secs(5), None));
    }
}
