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

/// What is known of a target.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its instances.
    pub(crate) peers: watch::Receiver<Peers>,
    /// Whether it was found out who they are, be it that there are none.
    pub(crate) is_known: watch::Receiver<bool>,
}

impl Found {
    /// Of a target whose instances need no look-up.
    pub(crate) fn always(peers: watch::Receiver<Peers>) -> Self {
        // Nobody changes it: its sender goes at once, and it stays true.
        Self { peers, is_known: watch::channel(true).1 }
    }
}

/// Watches the instances of `target`, until nobody is interested any more.
pub(crate) fn watch(target: Target) -> Found {
    match target {
        Target::InProcess(server) => {
            let endpoint = endpoint("http://in-process".into()).expect("a constant address");
            let (_, instances) = watch::channel(Peers::from([Peer::new(String::new(), server.channel(&endpoint))]));
            Found::always(instances)
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
            Found::always(instances)
        }
        Target::Address { host, port } => {
            let (publish, peers) = watch::channel(Peers::from([]));
            let (answered, is_known) = watch::channel(false);
            tokio::spawn(async move {
                let mut known = BTreeMap::new();
                loop {
                    let found = tokio::net::lookup_host((host.as_str(), port)).await;
                    let is_answered = found.as_ref().err().is_none_or(|error| !is_silence(&error.to_string()));
                    match found {
                        Ok(addresses) => update(&publish, &mut known, addresses.collect()),
                        // Whoever was there is probably still there: DNS is down, not they.
                        Err(error) => tracing::debug!(host, error = %error, "a name can't be looked up"),
                    }
                    if is_answered {
                        answered.send_if_modified(|answered| !std::mem::replace(answered, true));
                    }
                    tokio::select! {
                        () = publish.closed() => return,
                        () = tokio::time::sleep(LOOK_UP_EVERY) => {}
                    }
                }
            });
            Found { peers, is_known }
        }
    }
}

/// Whether a look-up failed because no name server answered, and not because there is no such name. The C libraries' own
/// words for EAI_AGAIN are all that is left of it in the error.
fn is_silence(error: &str) -> bool {
    ["Temporary failure in name resolution", "Try again"].iter().any(|words| error.contains(words))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_is_told_from_a_name_server_that_is_silent() {
        let failed = |why: &str| format!("failed to lookup address information: {why}");
        assert!(is_silence(&failed("Temporary failure in name resolution")) && is_silence(&failed("Try again")));
        for answered in ["Name or service not known", "No address associated with hostname", "Name does not resolve"] {
            assert!(!is_silence(&failed(answered)), "{answered}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_answered_is_known_whatever_the_answer() {
        for host in ["localhost", "127.0.0.1", "::1"] {
            let mut found = watch(Target::Address { host: host.into(), port: 1 });
            found.is_known.wait_for(|is_known| *is_known).await.unwrap();
            assert!(!found.peers.borrow().is_empty(), "{host}");
        }
        let (_, addresses) = watch::channel(Vec::new());
        assert!(*watch(Target::Addresses(addresses)).is_known.borrow());
    }
}
