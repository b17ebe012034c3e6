//! The pods of a workload, as those who can hold connections.

use std::collections::HashMap;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt as _;
use kube::core::{Expression, Selector, SelectorExt as _};

/// What a pod is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It waits for a node, or starts.
    Starting,
    /// It is ready.
    Ready,
    /// It was told to end. It can hold connections until it is gone.
    Terminating,
    /// Its containers have ended, and don't come back: it holds nothing.
    Ended,
}

/// What a pod is about. One that Kubernetes forgot to end, because its node is gone, is what it was: it may still run.
pub fn phase(pod: &Pod) -> Phase {
    let status = pod.status.as_ref();
    if status.and_then(|status| status.phase.as_deref()).is_some_and(|phase| ["Succeeded", "Failed"].contains(&phase)) {
        // Failed is said by the node's kubelet, or by the collector of pods for a node that is gone, whose containers may
        // still run: that one says so.
        let is_disrupted = status.is_some_and(|status| {
            status.conditions.iter().flatten().any(|condition| {
                condition.type_ == "DisruptionTarget" && condition.reason.as_deref() == Some("DeletionByPodGC")
            })
        });
        return if is_disrupted { Phase::Terminating } else { Phase::Ended };
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Phase::Terminating;
    }
    let ready = status.is_some_and(|status| {
        status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    if ready { Phase::Ready } else { Phase::Starting }
}

/// Which pods are a workload's.
#[derive(Clone, Debug)]
pub struct PodSelector(Selector);

impl PodSelector {
    /// By what a scale subresource says: `app=cart,track!=canary,tier in (web,api),!legacy`.
    ///
    /// # Errors
    /// If it can't be read, or selects everything.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(!text.is_empty(), "the target's scale subresource names no selector, so its pods aren't known");
        Ok(Self(read(text)?))
    }

    /// Those of `pods` that it selects in a namespace, whatever they are about.
    pub fn of<'a>(&self, pods: impl IntoIterator<Item = &'a Pod>, namespace: &str) -> impl Iterator<Item = &'a Pod> {
        let is_ours =
            move |pod: &&Pod| pod.metadata.namespace.as_deref() == Some(namespace) && self.0.matches(pod.labels());
        pods.into_iter().filter(is_ours)
    }
}

/// Selectors that have been read: a decision needs each of them, each second.
#[derive(Debug, Default)]
pub struct Selectors(HashMap<String, Read>);

/// A selector that has been read, or can't be, and whether it was asked for since [`Selectors::forget`].
#[derive(Debug)]
struct Read {
    selector: Option<PodSelector>,
    is_used: bool,
}

impl Selectors {
    /// The selector that a text says, if it can be read.
    pub fn get(&mut self, text: &str) -> Option<&PodSelector> {
        let read = self.0.entry(text.to_owned()).or_insert_with(|| {
            let selector = PodSelector::read(text).ok();
            Read { selector, is_used: true }
        });
        read.is_used = true;
        read.selector.as_ref()
    }

    /// Forgets what nobody has asked for since the last time.
    pub fn forget(&mut self) {
        self.0.retain(|_, read| std::mem::take(&mut read.is_used));
    }
}

/// How often a pod's containers were started again: each time it is another process that holds connections.
pub fn restarts(pod: &Pod) -> i32 {
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    containers.into_iter().flatten().map(|container| container.restart_count).sum()
}

/// The address of a pod, once it has one.
pub fn address(pod: &Pod) -> Option<std::net::IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

/// A workload's own selector, as its scale subresource writes it; nothing if it selects nothing.
pub fn selector_text(selector: &LabelSelector) -> Option<String> {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let expressions = selector.match_expressions.iter().flatten().map(|expression| {
        let values = || expression.values.as_deref().unwrap_or_default().join(",");
        match expression.operator.as_str() {
            "In" => format!("{} in ({})", expression.key, values()),
            "NotIn" => format!("{} notin ({})", expression.key, values()),
            "DoesNotExist" => format!("!{}", expression.key),
            _ => expression.key.clone(),
        }
    });
    Some(labels.chain(expressions).collect::<Vec<_>>().join(",")).filter(|text| !text.is_empty())
}

/// Takes from a pod what isn't looked at here: its spec is most of it. Of that the node stays, as a pod on none can't run.
pub fn trim(pod: &mut Pod) {
    let node_name = pod.spec.take().and_then(|spec| spec.node_name);
    pod.spec = Some(PodSpec { node_name, ..PodSpec::default() });
    pod.metadata.annotations = None;
}

/// A selector as a scale subresource writes it: `app=cart,track!=canary,tier in (web,api),!legacy`.
fn read(text: &str) -> anyhow::Result<Selector> {
    let mut depth = 0;
    let parts = text.split(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && depth == 0
    });
    parts
        .map(|part| expression(part.trim()).with_context(|| format!("'{part}' selects nothing that is known")))
        .collect()
}

fn expression(part: &str) -> Option<Expression> {
    let word = |text: &str| {
        let text = text.trim();
        (!text.contains([' ', '(', ')', '=', '!'])).then(|| text.to_owned())
    };
    if let Some((key, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values = values.split(',').map(word).collect::<Option<_>>()?;
        return if let Some(key) = key.trim().strip_suffix(" notin") {
            Some(Expression::NotIn(word(key)?, values))
        } else {
            Some(Expression::In(word(key.trim().strip_suffix(" in")?)?, values))
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Expression::NotEqual(word(key)?, word(value)?));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Expression::Equal(word(key)?, word(value)?));
    }
    let (is_there, key) = part.strip_prefix('!').map_or((true, part), |key| (false, key));
    let key = word(key).filter(|key| !key.is_empty())?;
    Some(if is_there { Expression::Exists(key) } else { Expression::DoesNotExist(key) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, status: Value, deleted: bool) -> Pod {
        let deleted = deleted.then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "shop", "uid": format!("{name}-uid"), "labels": {"app": "cart", "track": name},
                "deletionTimestamp": deleted,
            },
            "status": status,
        }))
        .unwrap()
    }

    fn ready(is_ready: &str) -> Value {
        json!({"phase": "Running", "conditions": [{"type": "Ready", "status": is_ready}]})
    }

    #[test]
    fn a_pod_holds_connections_until_it_has_ended() {
        let collected = json!({
            "phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}],
        });
        for (status, deleted, wanted) in [
            (json!({"phase": "Pending"}), false, Phase::Starting),
            (ready("False"), false, Phase::Starting),
            (ready("True"), false, Phase::Ready),
            (ready("True"), true, Phase::Terminating),
            (json!({"phase": "Pending"}), true, Phase::Terminating),
            (json!({"phase": "Failed"}), false, Phase::Ended),
            (json!({"phase": "Succeeded"}), true, Phase::Ended),
            (collected, true, Phase::Terminating),
        ] {
            assert_eq!(phase(&pod("a", status.clone(), deleted)), wanted, "{status}, deleted: {deleted}");
        }
    }

    #[test]
    fn the_pods_of_a_target_are_those_that_its_selector_takes() {
        let mut elsewhere = pod("e", ready("True"), false);
        elsewhere.metadata.namespace = Some("other".into());
        let pods = [
            pod("b", ready("True"), false),
            pod("a", ready("False"), true),
            pod("c", json!({"phase": "Succeeded"}), false),
            elsewhere,
        ];
        let names = |selector: &str| {
            let selector = PodSelector::read(selector).unwrap();
            selector.of(&pods, "shop").map(kube::ResourceExt::name_any).collect::<Vec<_>>()
        };
        assert_eq!(names("app=cart"), ["b", "a", "c"]);
        assert_eq!(names("app=cart,track!=a"), ["b", "c"]);
        assert_eq!(names("app in (web)"), [""; 0]);
        assert_eq!(names("app in (web,cart),track notin (a)"), ["b", "c"]);
        assert_eq!(names("app,!legacy,track==a"), ["a"]);
        assert_eq!(names("!app"), [""; 0]);
        for wrong in ["", "app=cart,", "app in web", "a b", "app=(x)"] {
            assert!(PodSelector::read(wrong).is_err(), "{wrong}");
        }
        let restarted = json!({"phase": "Running", "podIP": "10.1.2.3", "containerStatuses": [
            {"name": "x", "image": "x", "imageID": "x", "ready": true, "restartCount": 2},
        ]});
        let mut restarted = pod("r", restarted, false);
        trim(&mut restarted);
        // What is taken away isn't looked at.
        assert_eq!((restarts(&restarted), address(&restarted)), (2, Some([10, 1, 2, 3].into())));
    }
}
