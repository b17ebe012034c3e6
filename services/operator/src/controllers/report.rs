//! What became of an object, said in its status and in events.

use std::collections::HashMap;
use std::fmt::Debug;

use kube::api::Api;
use kube::core::NamespaceResourceScope;
use kube::core::object::HasStatus;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::status::{self, Status};
use super::{ANSWER, MANAGER, conditions};
use crate::telemetry::counts::{self, Written};

/// Writes the statuses of one kind, and the events of their conditions. A leader has one, and forgets it with its lead.
pub struct Reports<S> {
    client: Client,
    recorder: Recorder,
    /// What was written last, by uid: what a watch shows may be older.
    written: HashMap<String, (Instant, S)>,
}

impl<S: Status> Reports<S> {
    /// One in the name of this replica.
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(instance) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, recorder, written: HashMap::new() }
    }

    /// Says what became of an object: writes its status if that is due, and an event for each condition that changed. Whether
    /// it was written.
    ///
    /// # Errors
    /// If the status can't be written; it is tried again with the next one. An event that can't be written is lost, which the
    /// log says.
    pub async fn report<K>(&mut self, object: &K, after: &S) -> anyhow::Result<bool>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + HasStatus<Status = S>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let (Some(uid), Some(namespace)) = (object.uid(), object.namespace()) else { return Ok(false) };
        let known = self.written.get(&uid);
        let before = known.map(|(_, status)| status).or(object.status());
        if !status::is_due(before, after, known.map(|(when, _)| when.elapsed())) {
            return Ok(false);
        }
        let events = conditions::events(before.map(Status::conditions).unwrap_or_default(), after.conditions());
        let written = status::write(&Api::<K>::namespaced(self.client.clone(), &namespace), object, after).await;
        counts::wrote(Written::Status, written.is_ok());
        written?;
        self.written.insert(uid, (Instant::now(), after.clone()));
        let about = object.object_ref(&());
        for event in events {
            let published = timeout(ANSWER, self.recorder.publish(&event, &about)).await;
            counts::wrote(Written::Event, matches!(published, Ok(Ok(()))));
            match published {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(
                        reason = event.reason,
                        error = format!("{:#}", anyhow::Error::from(error)),
                        "an event is lost"
                    );
                }
                Err(_) => tracing::warn!(reason = event.reason, "an event is lost: the API server doesn't answer"),
            }
        }
        Ok(true)
    }

    /// Forgets all but these objects.
    pub fn keep<'a, K: Resource + 'a>(&mut self, objects: impl IntoIterator<Item = &'a K>) {
        let left: std::collections::HashSet<_> = objects.into_iter().filter_map(kube::ResourceExt::uid).collect();
        self.written.retain(|uid, _| left.contains(uid));
    }
}
