//! What is said, as messages.

use selvage_pool::gate::Reason;
use selvage_pool::{Class, Grant, GrantId, Pool, Use};
use selvage_proto::pool::v1;
use selvage_proto::pool::v1::attach_request::Message;
use selvage_proto::pool::v1::attach_response::Message as Answer;
use selvage_rpc::Target;
use tokio::time::Instant;

use crate::cpu::Cpu;
use crate::holding::Holding;
use crate::observed::{Pools, bounds};
use crate::settings::Settings;
use crate::shares;

/// What a broker has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// So many connections.
    Grant(Grant),
    /// Another one leads, at this address; nobody does, if there is none.
    Leader(Option<String>),
    /// The leader, of this epoch, has heard us.
    Welcome(u64),
    /// This is why it grants nothing yet.
    Pending(String),
}

/// Reasons of a broker are cut at this many bytes.
const MAX_TEXT_BYTES: usize = 512;

/// What a message means; `None` if it is of a kind that isn't known here.
pub(crate) fn said(response: v1::AttachResponse) -> Option<Said> {
    Some(match response.message? {
        Answer::Grant(grant) => Said::Grant(Grant { id: id_of(grant.id?), limit: grant.connections }),
        Answer::Leader(leader) => {
            let is_one = |address: &String| matches!(address.parse(), Ok(Target::Address { .. }));
            Said::Leader(Some(leader.address).filter(is_one))
        }
        Answer::Welcome(welcome) => Said::Welcome(welcome.epoch),
        Answer::Pending(pending) => Said::Pending(bounded(pending.reason)),
    })
}

fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    text.retain(|letter| !letter.is_control());
    text
}

fn id_of(id: v1::GrantId) -> GrantId {
    GrantId { epoch: id.epoch, sequence: id.sequence }
}

fn to_id(id: GrantId) -> v1::GrantId {
    v1::GrantId { epoch: id.epoch, sequence: id.sequence }
}

pub(crate) fn request(message: Message) -> v1::AttachRequest {
    v1::AttachRequest { message: Some(message) }
}

/// Who the process is.
pub(crate) fn hello(settings: &Settings, pools: &Pools) -> v1::Hello {
    let pool = |pool: &Pool| {
        let bounds = bounds(pool);
        v1::Pool { name: pool.config().name.clone(), floor: bounds.floor, ceiling: bounds.ceiling }
    };
    v1::Hello {
        namespace: settings.pod.namespace.clone(),
        pod: settings.pod.name.clone(),
        pod_uid: settings.pod.uid.clone(),
        boot_id: settings.boot_id.clone(),
        budget: settings.budget.clone(),
        pools: pools.iter().map(pool).collect(),
    }
}

/// How the process is.
pub(crate) fn report(pools: &Pools, holding: &Holding, complied: Option<GrantId>, cpu: &mut Cpu) -> v1::Report {
    let reports: Vec<_> = pools.iter().map(of_pool).collect();
    v1::Report {
        complied: complied.map(to_id),
        known: holding.known().map(to_id),
        limit: shares::held(&pools.shares()),
        open: reports.iter().map(|pool| pool.open).sum(),
        pools: reports,
        epoch: holding.epoch(),
        cpu_throttled: cpu.throttled().and_then(|time| time.try_into().ok()),
        cpu_share: cpu.share(Instant::now()),
    }
}

fn of_pool(pool: &Pool) -> v1::PoolReport {
    let (seen, longest) = (pool.snapshot(), pool.longest_held());
    let pairs = Class::ALL.into_iter().flat_map(|class| Reason::ALL.map(|reason| (class, reason)));
    let refused = pairs.filter_map(|(class, reason)| {
        let count = seen.refused[class as usize][reason as usize];
        let (class, reason) = (class.name().to_owned(), reason.name().to_owned());
        (count > 0).then_some(v1::Refused { class, reason, count })
    });
    let used = |used: Use| v1::Use {
        operation: used.operation.to_owned(),
        count: used.count,
        time: used.time.try_into().ok(),
    };
    v1::PoolReport {
        name: pool.config().name.clone(),
        limit: seen.limit,
        open: seen.open + seen.uncounted,
        in_use: seen.in_use,
        waiting: seen.waiting,
        refused: refused.collect(),
        uses: pool.uses().into_iter().map(used).collect(),
        longest_held: longest.and_then(|longest| longest.held.try_into().ok()),
        longest_held_by: longest.map(|longest| longest.operation.name.to_owned()).unwrap_or_default(),
        unreachable: seen.unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood_and_bounded() {
        let answer = |message| said(v1::AttachResponse { message: Some(message) });
        let id = v1::GrantId { epoch: 2, sequence: 3 };
        let grant = Grant { id: GrantId { epoch: 2, sequence: 3 }, limit: 5 };
        assert_eq!(answer(Answer::Grant(v1::Grant { id: Some(id), connections: 5 })), Some(Said::Grant(grant)));
        assert_eq!(answer(Answer::Grant(v1::Grant { id: None, connections: 5 })), None, "nothing without its number");
        let leader = |address: &str| answer(Answer::Leader(v1::Leader { address: address.to_owned() }));
        assert_eq!(leader("10.0.0.7:50060"), Some(Said::Leader(Some("10.0.0.7:50060".into()))));
        for none in ["", "leader", "10.0.0.7:50060/elsewhere", "10.0.0.7:1,10.0.0.8:1"] {
            assert_eq!(leader(none), Some(Said::Leader(None)), "{none}");
        }
        let Some(Said::Pending(reason)) = answer(Answer::Pending(v1::Pending { reason: "é\n".repeat(600) })) else {
            panic!("a reason")
        };
        assert!(reason.len() <= MAX_TEXT_BYTES && !reason.contains('\n'));
        assert_eq!(said(v1::AttachResponse { message: None }), None);
    }
}
