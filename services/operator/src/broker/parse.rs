//! Messages of processes, as they may be.

use std::time::Duration;

use prost_types::Duration as WireDuration;
use selvage_proto::pool::v1;

use super::events::GrantNumber;
use super::{Hello, Identity, PoolBounds, PoolReport, RefusedCount, Report, UseCount};

/// Pools of one process.
const MAX_POOLS: usize = 16;
/// Connections of one pool: twice what a pool takes.
const MAX_CONNECTIONS: u32 = 2_000;
/// A name in Kubernetes, of a namespace, and of a thing in it.
const MAX_NAMESPACE_BYTES: usize = 63;
const MAX_NAME_BYTES: usize = 253;
/// A pool's, an operation's, a class's or a reason's name.
const MAX_LABEL_BYTES: usize = 63;
/// Three classes with five reasons each.
const MAX_REFUSED: usize = 15;
/// 64 operations, and all others together.
const MAX_USES: usize = 65;
/// A quota bounds what is used in each of its periods, of which a second has ten: more than some is none.
const MAX_SHARE: f64 = 1_000.0;

/// What is wrong with a message, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {must}")]
pub struct Invalid {
    field: &'static str,
    must: &'static str,
}

fn invalid<T>(field: &'static str, must: &'static str) -> Result<T, Invalid> {
    Err(Invalid { field, must })
}

fn named(field: &'static str, name: String, most: usize) -> Result<String, Invalid> {
    if name.is_empty() || name.len() > most || name.chars().any(char::is_control) {
        return invalid(field, "must be a name, and not longer than its bound");
    }
    Ok(name)
}

/// The pod that a hello claims to be of, the run, and the rest.
pub(super) fn hello(hello: v1::Hello) -> Result<(Identity, String, Hello), Invalid> {
    let claimed = Identity {
        namespace: named("namespace", hello.namespace, MAX_NAMESPACE_BYTES)?,
        pod: named("pod", hello.pod, MAX_NAME_BYTES)?,
        uid: named("pod_uid", hello.pod_uid, MAX_NAMESPACE_BYTES)?,
    };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if hello.boot_id.len() != 8 || !hello.boot_id.bytes().all(is_digit) {
        return invalid("boot_id", "must have 8 hexadecimal digits");
    }
    let budget = match hello.budget.split_once('/') {
        Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
        None => (claimed.namespace.clone(), hello.budget),
    };
    let budget = (named("budget", budget.0, MAX_NAMESPACE_BYTES)?, named("budget", budget.1, MAX_NAME_BYTES)?);
    if hello.pools.is_empty() || hello.pools.len() > MAX_POOLS {
        return invalid("pools", "must be 1 to 16");
    }
    let mut pools = Vec::<PoolBounds>::with_capacity(hello.pools.len());
    for pool in hello.pools {
        let name = named("pools.name", pool.name, MAX_LABEL_BYTES)?;
        if pools.iter().any(|other| other.name == name) {
            return invalid("pools.name", "must be another for each pool");
        }
        if pool.floor > pool.ceiling || pool.ceiling > MAX_CONNECTIONS {
            return invalid("pools", "must have a floor, and a ceiling from the floor to 2,000");
        }
        pools.push(PoolBounds { name, floor: pool.floor, ceiling: pool.ceiling });
    }
    Ok((claimed, hello.boot_id, Hello { budget, pools }))
}

/// A report about the pools of `hello`.
pub(super) fn report(report: v1::Report, hello: &Hello) -> Result<Report, Invalid> {
    let most = MAX_CONNECTIONS * 16;
    if report.open > most || report.limit > most {
        return invalid("open, limit", "must be what 16 pools can have at the most");
    }
    if report.pools.len() > MAX_POOLS {
        return invalid("pools", "must be those of the hello");
    }
    let mut pools = Vec::with_capacity(report.pools.len());
    for of_pool in report.pools {
        if !hello.pools.iter().any(|known| known.name == of_pool.name) {
            return invalid("pools", "must be those of the hello");
        }
        pools.push(pool(of_pool)?);
    }
    Ok(Report {
        complied: report.complied.map(number),
        known: report.known.map(number),
        epoch: report.epoch,
        // What is open may be open, whatever it says of its limits.
        limit: report.limit.max(report.open),
        open: report.open,
        pools,
        cpu_throttled: report.cpu_throttled.map(|time| duration("cpu_throttled", time)).transpose()?,
        cpu_share: report.cpu_share.map(share).transpose()?,
    })
}

fn number(id: v1::GrantId) -> GrantNumber {
    (id.epoch, id.sequence)
}

fn duration(field: &'static str, time: WireDuration) -> Result<Duration, Invalid> {
    time.try_into().or_else(|_| invalid(field, "must be a time that isn't negative"))
}

fn share(share: f64) -> Result<f64, Invalid> {
    if (0.0..=MAX_SHARE).contains(&share) { Ok(share) } else { invalid("cpu_share", "must be from 0 to 1,000") }
}

fn pool(pool: v1::PoolReport) -> Result<PoolReport, Invalid> {
    if pool.refused.len() > MAX_REFUSED || pool.uses.len() > MAX_USES {
        return invalid("pools", "must have at most 15 kinds of refusals and 65 of uses");
    }
    let refused = pool.refused.into_iter().map(|refused| {
        Ok(RefusedCount {
            class: named("refused.class", refused.class, MAX_LABEL_BYTES)?,
            reason: named("refused.reason", refused.reason, MAX_LABEL_BYTES)?,
            count: refused.count,
        })
    });
    let uses = pool.uses.into_iter().map(|used| {
        Ok(UseCount {
            operation: named("uses.operation", used.operation, MAX_LABEL_BYTES)?,
            count: used.count,
            time: duration("uses.time", used.time.unwrap_or_default())?,
        })
    });
    let longest_held = match pool.longest_held {
        Some(held) => {
            let by = named("longest_held_by", pool.longest_held_by, MAX_LABEL_BYTES)?;
            Some((by, duration("longest_held", held)?))
        }
        None => None,
    };
    Ok(PoolReport {
        name: pool.name,
        limit: pool.limit,
        open: pool.open,
        in_use: pool.in_use,
        waiting: pool.waiting,
        refused: refused.collect::<Result<_, Invalid>>()?,
        uses: uses.collect::<Result<_, Invalid>>()?,
        longest_held,
        unreachable: pool.unreachable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> v1::Hello {
        let pool = |name: &str| v1::Pool { name: name.into(), floor: 2, ceiling: 8 };
        v1::Hello {
            namespace: "shop".into(),
            pod: "stars-7d9f-x2x".into(),
            pod_uid: "5f6c".into(),
            boot_id: "0123abcd".into(),
            budget: "main".into(),
            pools: vec![pool("stars"), pool("moons")],
        }
    }

    #[test]
    fn a_hello_names_its_budget_in_its_own_namespace_unless_it_says_another() {
        let (claimed, boot_id, parsed) = hello(good()).unwrap();
        assert_eq!((claimed.pod.as_str(), boot_id.as_str()), ("stars-7d9f-x2x", "0123abcd"));
        assert_eq!(parsed.budget, ("shop".to_owned(), "main".to_owned()));
        assert_eq!((parsed.floor(), parsed.ceiling()), (4, 16));
        let (_, _, parsed) = hello(v1::Hello { budget: "databases/main".into(), ..good() }).unwrap();
        assert_eq!(parsed.budget, ("databases".to_owned(), "main".to_owned()));
    }

    #[test]
    fn a_hello_that_is_beyond_its_bounds_is_refused_with_the_field() {
        let pool = |floor, ceiling| v1::Pool { name: "stars".into(), floor, ceiling };
        for (wrong, field) in [
            (v1::Hello { namespace: String::new(), ..good() }, "namespace"),
            (v1::Hello { pod: "x".repeat(254), ..good() }, "pod"),
            (v1::Hello { pod_uid: "a\nb".into(), ..good() }, "pod_uid"),
            (v1::Hello { boot_id: "0123ABCD".into(), ..good() }, "boot_id"),
            (v1::Hello { boot_id: "0123abc".into(), ..good() }, "boot_id"),
            (v1::Hello { budget: "/main".into(), ..good() }, "budget"),
            (v1::Hello { pools: vec![], ..good() }, "pools"),
            (v1::Hello { pools: vec![pool(1, 2), pool(1, 2)], ..good() }, "pools.name"),
            (v1::Hello { pools: vec![pool(3, 2)], ..good() }, "pools"),
            (v1::Hello { pools: vec![pool(3, 2_001)], ..good() }, "pools"),
            (v1::Hello { pools: (0..17).map(|_| pool(1, 1)).collect(), ..good() }, "pools"),
        ] {
            let refused = hello(wrong).unwrap_err().to_string();
            assert!(refused.starts_with(field), "{refused}");
        }
    }

    #[test]
    fn a_report_is_about_the_pools_of_the_hello_and_charged_with_what_is_open_at_least() {
        let (_, _, known) = hello(good()).unwrap();
        let time = |seconds| WireDuration { seconds, nanos: 0 };
        let used = v1::Use { operation: "star_get".into(), count: 3, time: Some(time(2)) };
        let of_pool = v1::PoolReport {
            name: "stars".into(),
            uses: vec![used.clone()],
            longest_held: Some(time(1)),
            longest_held_by: "star_get".into(),
            ..v1::PoolReport::default()
        };
        let pools = vec![of_pool.clone()];
        let good = v1::Report { limit: 3, open: 5, cpu_share: Some(0.5), pools, ..v1::Report::default() };
        let parsed = report(good.clone(), &known).unwrap();
        assert_eq!((parsed.limit, parsed.open, parsed.cpu_share), (5, 5, Some(0.5)));
        assert_eq!(parsed.pools[0].uses[0].time, Duration::from_secs(2));
        assert_eq!(parsed.pools[0].longest_held, Some(("star_get".to_owned(), Duration::from_secs(1))));
        let with = |pool: v1::PoolReport| v1::Report { pools: vec![pool], ..good.clone() };
        for wrong in [
            v1::Report { open: 32_001, ..good.clone() },
            v1::Report { cpu_throttled: Some(time(-1)), ..good.clone() },
            v1::Report { cpu_share: Some(-0.1), ..good.clone() },
            v1::Report { cpu_share: Some(1_000.1), ..good.clone() },
            v1::Report { cpu_share: Some(f64::NAN), ..good.clone() },
            v1::Report { pools: vec![of_pool.clone(); 17], ..good.clone() },
            with(v1::PoolReport { name: "suns".into(), ..of_pool.clone() }),
            with(v1::PoolReport { uses: vec![used.clone(); 66], ..of_pool.clone() }),
            with(v1::PoolReport { uses: vec![v1::Use { time: Some(time(-1)), ..used }], ..of_pool.clone() }),
            with(v1::PoolReport { longest_held_by: String::new(), ..of_pool }),
        ] {
            assert!(report(wrong.clone(), &known).is_err(), "{wrong:?}");
        }
    }
}
