//! From a target to instances, again and again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::Target;
use crate::peers::{Peer, Peers, endpoint};

/// How often a name is looked up: a new instance takes its share within this, and its readiness.
const LOOK_UP_EVERY: Duration = Duration::from_secs(1);

/// Watches the instances of `target`, until nobody is interested any more.
pub(crate) fn watch(target: Target) -> watch::Receiver<Peers> {
    match target {
        Target::InProcess(server) => {
            let endpoint = endpoint("http://in-process".into()).expect("a constant address");
            let (_, instances) = watch::channel(Peers::from([Peer::new(String::new(), server.channel(&endpoint))]));
            instances
        }
        Target::Addresses(mut addresses) => {
            let (publish, instances) = watch::channel(Peers::from([]));
            tokio::spawn(async move {
                let mut known = BTreeMap::new();
                loop {
                    let now = addresses.borrow_and_update().clone();
                    update(&publish, &mut known, now);
                    tokio::select! {
                        () = publish.closed() => return,
                        changed = addresses.changed() => if changed.is_err() { return },
                    }
                }
            });
            instances
        }
        Target::Address { host, port } => {
            let (publish, instances) = watch::channel(Peers::from([]));
            tokio::spawn(async move {
                let mut known = BTreeMap::new();
                loop {
                    match tokio::net::lookup_host((host.as_str(), port)).await {
                        Ok(addresses) => update(&publish, &mut known, addresses.collect()),
                        // Whoever was there is probably still there: DNS is down, not they.
                        Err(error) => tracing::debug!(host, error = %error, "a name can't be looked up"),
                    }
                    tokio::select! {
                        () = publish.closed() => return,
                        () = tokio::time::sleep(LOOK_UP_EVERY) => {}
                    }
                }
            });
            instances
        }
    }
}

/// Instances that are gone get no new call; those in flight keep their connection until they are done.
fn update(publish: &watch::Sender<Peers>, known: &mut BTreeMap<SocketAddr, Arc<Peer>>, now: Vec<SocketAddr>) {
    let before: Vec<_> = known.keys().copied().collect();
    known.retain(|address, _| now.contains(address));
    for address in now {
        if !known.contains_key(&address)
            && let Ok(endpoint) = endpoint(format!("http://{address}"))
        {
            known.insert(address, Peer::new(address.to_string(), endpoint.connect_lazy()));
        }
    }
    if !known.keys().eq(&before) {
        tracing::debug!(instances = ?known.keys(), "the instances of a service have changed");
        publish.send_replace(known.values().cloned().collect());
    }
}
