//! From messages; each wrong field is named.

use std::time::Duration;

use selvage_faults::{Ask, Kind, Refused};
use selvage_proto::operations::v1::StartFaultRequest;
use selvage_proto::operations::v1::fault::Kind as ProtoKind;
use selvage_status::{Error, ErrorCode, Result};

pub(super) fn ask(request: StartFaultRequest, by: &str) -> Result<Ask> {
    let kind = kind(request.kind)?;
    let lasts = request.duration.ok_or_else(|| Error::invalid("duration", "is needed: 1 s to 10 min"))?;
    Ok(Ask {
        kind,
        target: request.target,
        duration: duration("duration", lasts)?,
        count: request.count,
        delay: request.delay.map(|delay| duration("delay", delay)).transpose()?,
        share_percent: request.share_percent,
        by: by.to_owned(),
    })
}

pub(super) fn kind(kind: i32) -> Result<Kind> {
    Ok(match ProtoKind::try_from(kind) {
        Ok(ProtoKind::SlowQuery) => Kind::SlowQuery,
        Ok(ProtoKind::HeldConnection) => Kind::HeldConnection,
        Ok(ProtoKind::LeakedConnection) => Kind::LeakedConnection,
        Ok(ProtoKind::LockHold) => Kind::LockHold,
        Ok(ProtoKind::DatabaseLatency) => Kind::DatabaseLatency,
        Ok(ProtoKind::DependencyFailing) => Kind::DependencyFailing,
        Ok(ProtoKind::DependencySlow) => Kind::DependencySlow,
        Ok(ProtoKind::PoolLimit) => Kind::PoolLimit,
        Ok(ProtoKind::CpuBurn) => Kind::CpuBurn,
        Ok(ProtoKind::Unspecified) | Err(_) => {
            return Err(Error::invalid("kind", "must be one of those that there are"));
        }
    })
}

pub(super) fn fault_id(text: &str) -> Result<u64> {
    let id = text.strip_prefix("fault-").and_then(|id| id.parse().ok());
    id.ok_or_else(|| Error::invalid("fault_id", "must be the id of a fault, for example fault-1"))
}

fn duration(field: &str, duration: prost_types::Duration) -> Result<Duration> {
    Duration::try_from(duration).map_err(|_| Error::invalid(field, "must not be negative"))
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
