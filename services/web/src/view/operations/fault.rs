//! The fault switches: what there is to start, what is active, and what a form asks for.

use prost_types::Duration;
use selvage_proto::operations::v1::fault::Kind;
use selvage_proto::operations::v1::{Fault, ProcessStatus, StartFaultRequest};

use super::{here, lasting, micros};
use crate::fields::Fields;
use crate::operations::Process;
use crate::view::date;

/// What a kind is done to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Pool,
    Lockable,
    Dependency,
    Process,
}

/// A kind of fault, as the page offers it.
struct Offer {
    kind: Kind,
    key: &'static str,
    title: &'static str,
    sentence: &'static str,
    on: On,
    /// What its number means, with what stands in the field; 0 stands for nothing.
    count: Option<(&'static str, u32)>,
    /// Its delay in milliseconds.
    delay: Option<u32>,
    share: bool,
}

impl Offer {
    const fn new(kind: Kind, key: &'static str, title: &'static str, sentence: &'static str, on: On) -> Self {
        Self { kind, key, title, sentence, on, count: None, delay: None, share: false }
    }
}

const OFFERS: [Offer; 9] = [
    Offer {
        count: Some(("Callers", 0)),
        ..Offer::new(
            Kind::HeldConnection,
            "held-connection",
            "Held connections",
            "Callers who take connections for two seconds each, over and over.",
            On::Pool,
        )
    },
    Offer {
        count: Some(("Connections", 1)),
        ..Offer::new(
            Kind::LeakedConnection,
            "leaked-connection",
            "Leaked connections",
            "Connections that nobody gives back.",
            On::Pool,
        )
    },
    Offer {
        count: Some(("At a time", 2)),
        delay: Some(1_000),
        ..Offer::new(
            Kind::SlowQuery,
            "slow-query",
            "Slow queries",
            "Statements that keep the database, and their connections, busy.",
            On::Pool,
        )
    },
    Offer::new(
        Kind::LockHold,
        "lock-hold",
        "A held lock",
        "A transaction that keeps all others from writing.",
        On::Lockable,
    ),
    Offer {
        delay: Some(200),
        ..Offer::new(
            Kind::DatabaseLatency,
            "database-latency",
            "Database latency",
            "Each statement takes longer, as over a slow network.",
            On::Pool,
        )
    },
    Offer::new(
        Kind::DependencyFailing,
        "dependency-failing",
        "A dependency fails",
        "Each call of it is answered by an error.",
        On::Dependency,
    ),
    Offer {
        delay: Some(2_000),
        ..Offer::new(
            Kind::DependencySlow,
            "dependency-slow",
            "A dependency is slow",
            "Each call of it takes longer.",
            On::Dependency,
        )
    },
    Offer {
        count: Some(("Limit", 2)),
        ..Offer::new(
            Kind::PoolLimit,
            "pool-limit",
            "Another limit",
            "A pool has so many connections, within its floor and its ceiling.",
            On::Pool,
        )
    },
    Offer {
        count: Some(("Threads", 1)),
        share: true,
        ..Offer::new(Kind::CpuBurn, "cpu-burn", "A busy processor", "Threads that compute nothing.", On::Process)
    },
];

/// How long a fault may last, in seconds.
const LASTING: [(u32, &str); 5] =
    [(10, "10 seconds"), (30, "30 seconds"), (60, "1 minute"), (300, "5 minutes"), (600, "10 minutes")];
/// What is chosen at first.
pub(crate) const DEFAULT_LASTING: u32 = 30;

/// A switch of the page: a form.
pub(crate) struct Switch {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) sentence: &'static str,
    /// Value and words of each.
    pub(crate) targets: Vec<(String, String)>,
    pub(crate) count: Option<(&'static str, String)>,
    pub(crate) delay: Option<u32>,
    pub(crate) share: bool,
    pub(crate) lasting: &'static [(u32, &'static str)],
}

/// The switches that there are for whoever looks.
pub(crate) struct Switches {
    pub(crate) switches: Vec<Switch>,
    /// The names of the processes that allow no faults.
    pub(crate) closed: Vec<String>,
    /// Some process allows faults, and the token of whoever looks doesn't.
    pub(crate) only_looks: bool,
}

impl Switches {
    pub(crate) fn new(processes: &[Process]) -> Self {
        let open: Vec<_> = here(processes).filter(|(_, status)| status.may_start_faults).collect();
        let switches = OFFERS.iter().map(|offer| Switch {
            key: offer.key,
            title: offer.title,
            sentence: offer.sentence,
            targets: offer.all_targets(&open),
            count: offer.count.map(|(words, count)| (words, if count > 0 { count.to_string() } else { String::new() })),
            delay: offer.delay,
            share: offer.share,
            lasting: &LASTING,
        });
        let closed = here(processes).filter(|(_, status)| !status.faults_allowed).map(|(process, _)| process.label());
        Self {
            switches: switches.filter(|switch| !switch.targets.is_empty()).collect(),
            closed: closed.collect(),
            only_looks: here(processes).any(|(_, status)| status.faults_allowed && !status.may_start_faults),
        }
    }
}

impl Offer {
    /// What it can be done to: in each process and, where a service has several, in all of them at once.
    fn all_targets(&self, open: &[(&Process, &ProcessStatus)]) -> Vec<(String, String)> {
        let mut targets = Vec::new();
        for (number, (process, status)) in open.iter().enumerate() {
            if !process.is_one_of_several {
                targets.extend(self.targets(&process.name, status, ""));
                continue;
            }
            if !open[..number].iter().any(|(before, _)| before.name == process.name) {
                targets.extend(self.targets(&process.name, status, &format!(", all of {}", process.name)));
            }
            targets.extend(self.targets(&process.key(), status, &format!(", {}", process.label())));
        }
        targets
    }

    /// What it can be done to in a process: `process/target`, and in words, with what tells the process from others.
    fn targets(&self, process: &str, status: &ProcessStatus, which: &str) -> Vec<(String, String)> {
        let pools = || status.pools.iter();
        let names: Vec<&str> = match self.on {
            On::Pool => pools().map(|pool| pool.pool.as_str()).collect(),
            On::Lockable => pools().filter(|pool| pool.lockable).map(|pool| pool.pool.as_str()).collect(),
            On::Dependency => status.dependencies.iter().map(String::as_str).collect(),
            On::Process => {
                let name = process.split('@').next().unwrap_or_default();
                return vec![(format!("{process}/"), format!("process {name}{which}"))];
            }
        };
        let words = |name: &str| match self.on {
            On::Dependency => format!("{name}{which}"),
            _ => format!("pool {name}{which}"),
        };
        names.into_iter().map(|name| (format!("{process}/{name}"), words(name))).collect()
    }
}

/// What a form asks for: of which process, and what.
///
/// What is wrong with it, in words.
pub(crate) fn asked(fields: &Fields) -> Result<(String, StartFaultRequest), String> {
    let offer = OFFERS.iter().find(|offer| offer.key == fields.get("kind"));
    let offer = offer.ok_or("there is no such fault")?;
    let (process, target) = fields.get("target").split_once('/').ok_or("say what it is to be done to")?;
    let number = |field: &str, what: &str| match fields.get(field) {
        "" => Ok(0),
        text => text.parse::<u32>().map_err(|_| format!("{what} must be a whole number")),
    };
    let delay_ms = number("delay", "the delay")?;
    let delay = Duration { seconds: i64::from(delay_ms / 1_000), nanos: (delay_ms % 1_000 * 1_000_000).cast_signed() };
    let request = StartFaultRequest {
        kind: offer.kind.into(),
        target: target.to_owned(),
        duration: Some(Duration { seconds: number("seconds", "the duration")?.into(), nanos: 0 }),
        count: number("count", "the number")?,
        delay: (delay_ms > 0).then_some(delay),
        share_percent: number("share", "the share")?,
        boot_id: String::new(),
    };
    Ok((process.to_owned(), request))
}

/// The titles of the faults that are done to `target`.
pub(super) fn titles_on<'a>(
    status: &'a ProcessStatus,
    target: &'a str,
) -> impl Iterator<Item = &'static str> + use<'a> {
    let of_target = status.faults.iter().filter(move |fault| fault.target == target);
    of_target.filter_map(|fault| OFFERS.iter().find(|offer| offer.kind == fault.kind()).map(|offer| offer.title))
}

/// A fault that is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) process: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) title: &'static str,
    /// What it is done to, and how much, in words.
    pub(crate) details: String,
    /// When it ends, for people and for machines.
    pub(crate) ends: String,
    pub(crate) iso: String,
    pub(crate) by: String,
    /// By whoever looks.
    pub(crate) may_end: bool,
}

/// The faults that are active, of all processes.
pub(crate) fn active(processes: &[Process]) -> Vec<Active> {
    here(processes)
        .flat_map(|(process, status)| status.faults.iter().map(|fault| Active::new(process, status, fault)))
        .collect()
}

impl Active {
    fn new(process: &Process, status: &ProcessStatus, fault: &Fault) -> Self {
        let offer = OFFERS.iter().find(|offer| offer.kind == fault.kind());
        let mut details = vec![if fault.target.is_empty() { process.name.clone() } else { fault.target.clone() }];
        match offer.and_then(|offer| offer.count) {
            Some((words, _)) if fault.count > 0 => {
                let words = words.to_lowercase();
                details.push(if words == "limit" {
                    format!("limit {}", fault.count)
                } else {
                    format!("{} {words}", fault.count)
                });
            }
            _ => {}
        }
        details.extend(fault.delay.as_ref().map(|delay| lasting(micros(delay))));
        if fault.share_percent > 0 {
            details.push(format!("{} % of the time", fault.share_percent));
        }
        if process.is_one_of_several {
            details.push(process.label());
        }
        Self {
            process: process.key(),
            id: fault.fault_id.clone(),
            name: fault.name.clone(),
            title: offer.map_or("A fault", |offer| offer.title),
            details: details.join(" · "),
            ends: date::clock(fault.end_time.as_ref()),
            iso: date::iso(fault.end_time.as_ref()),
            by: fault.started_by.clone(),
            may_end: status.may_start_faults,
        }
    }
}

#[cfg(test)]
mod tests {
    use selvage_proto::operations::v1::PoolStatus;

    use super::*;
    use crate::operations::Seen;
    use crate::view::operations::tests::alone;

    fn process(faults_allowed: bool) -> Process {
        seen_by(faults_allowed, faults_allowed)
    }

    fn seen_by(faults_allowed: bool, may_start_faults: bool) -> Process {
        let pool = PoolStatus { pool: "cart".to_owned(), lockable: true, ..PoolStatus::default() };
        let faults = vec![Fault {
            fault_id: "fault-1".to_owned(),
            kind: Kind::SlowQuery.into(),
            target: "cart".to_owned(),
            count: 2,
            delay: Some(Duration { seconds: 1, nanos: 0 }),
            ..Fault::default()
        }];
        let status =
            ProcessStatus { pools: vec![pool], faults_allowed, may_start_faults, faults, ..ProcessStatus::default() };
        alone("cart", Seen::Here(Box::new(status)))
    }

    #[test]
    fn switches_are_offered_for_what_there_is() {
        let open = Switches::new(&[process(true)]);
        let keys: Vec<_> = open.switches.iter().map(|switch| switch.key).collect();
        assert!(keys.contains(&"lock-hold") && keys.contains(&"cpu-burn") && !keys.contains(&"dependency-slow"));
        assert_eq!(open.switches[0].targets, [("cart/cart".to_owned(), "pool cart".to_owned())]);
        let closed = Switches::new(&[process(false)]);
        assert!(closed.switches.is_empty());
        assert_eq!((closed.closed, closed.only_looks), (vec!["cart".to_owned()], false));
        let looks = Switches::new(&[seen_by(true, false)]);
        assert!(looks.switches.is_empty() && looks.closed.is_empty() && looks.only_looks);
        assert!(!active(&[seen_by(true, false)])[0].may_end && active(&[process(true)])[0].may_end);
    }

    #[test]
    fn of_several_instances_each_is_offered_and_all_of_them() {
        let one = |address: &str, boot_id: &str| {
            let Seen::Here(mut status) = process(true).seen else { panic!("it is here") };
            status.boot_id = boot_id.to_owned();
            let seen = Seen::Here(status);
            Process { name: "cart".to_owned(), address: address.to_owned(), is_one_of_several: true, seen }
        };
        let both = [one("10.0.0.1:1", "00000001"), one("10.0.0.2:1", "00000002")];
        let values: Vec<_> = Switches::new(&both).switches[0].targets.iter().map(|(value, _)| value.clone()).collect();
        assert_eq!(values, ["cart/cart", "cart@10.0.0.1:1@00000001/cart", "cart@10.0.0.2:1@00000002/cart"]);
        let (process, request) =
            asked(&Fields::parse(b"kind=slow-query&seconds=30&target=cart%4010.0.0.2%3A1%4000000002/cart")).unwrap();
        assert_eq!((process.as_str(), request.target.as_str()), ("cart@10.0.0.2:1@00000002", "cart"));
        let active = active(&both);
        assert!(active[1].details.ends_with("cart at 10.0.0.2:1 (00000002)"), "{}", active[1].details);
        assert_eq!(active[1].process, "cart@10.0.0.2:1@00000002");
    }

    #[test]
    fn a_form_is_a_request_or_wrong_in_words() {
        let read = |text: &str| asked(&Fields::parse(text.as_bytes()));
        let (process, request) = read("kind=slow-query&target=cart/cart&seconds=30&count=2&delay=1500").unwrap();
        assert_eq!((process.as_str(), request.target.as_str(), request.kind()), ("cart", "cart", Kind::SlowQuery));
        assert_eq!(request.delay, Some(Duration { seconds: 1, nanos: 500_000_000 }));
        assert_eq!((request.count, request.duration), (2, Some(Duration { seconds: 30, nanos: 0 })));
        assert_eq!(read("kind=held-connection&target=cart/cart&seconds=30&count=").unwrap().1.count, 0);
        for wrong in ["", "kind=hats&target=a/b", "kind=slow-query&target=cart", "kind=cpu-burn&target=a/&count=-1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_active_says_what_it_does() {
        let active = active(&[process(true)]);
        assert_eq!(active[0].details, "cart · 2 at a time · 1.0 s");
        assert_eq!((active[0].title, active[0].id.as_str()), ("Slow queries", "fault-1"));
    }
}
