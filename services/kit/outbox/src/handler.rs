//! What a service gives to the relay: how its messages are done, and what their being done means.

use std::fmt;

use async_trait::async_trait;
use selvage_pool::{StoreError, Tx};
use uuid::Uuid;

use crate::message::Message;

/// Why a message was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may succeed later: it is tried again with growing pauses.
    Later(String),
    /// It won't succeed however often it is tried: it is a dead letter at once, and somebody must look.
    Never(String),
}

impl Failure {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Later(_) => "later",
            Self::Never(_) => "never",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(why) | Self::Never(why) => f.write_str(why),
        }
    }
}

/// Does messages.
///
/// **Each message, done a second time after any that follow it, is answered as the first time.** The relay does all
/// messages of a key that it finds, and stores what came of them at the end. If that isn't stored, for the process was
/// killed, its session ended or its claim lapsed, all of them are done again from the first one on, though the last ones
/// were done too; and a relay that was asleep for longer than its claim may do the rest of its messages after another has
/// done those and later ones. So whoever is asked must answer "done" to what it did before, even if a later message has
/// undone it since, and must do nothing then. Refusing it makes a dead letter that dies again at each retry. A handler
/// that asks somebody else is as good as their answer: test theirs for it too.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// What one message of a key looked up for itself and for those that are done right after it. Made anew for each claim.
    type Lookups: Default + Send;
    /// What a message's being done means for the sender's own tables.
    type Outcome: Send + Sync;

    /// Does what `message` asks for, within a third of the claim's lease. It may have been done before, and so may messages
    /// that follow it: see [`Handler`]. `None`: it means nothing for the sender's tables.
    ///
    /// # Errors
    /// [`Failure`], by which the relay decides whether it is tried again.
    async fn handle(&self, message: &Message, lookups: &mut Self::Lookups) -> Result<Option<Self::Outcome>, Failure>;

    /// Stores what the done messages of a key mean, in the transaction that removes them; not asked if they mean nothing.
    /// Returns whether it has enqueued messages, for which the relay then looks at once.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is stored then, not even that the messages are done, and they are done again when the claim
    /// has ended.
    async fn settle(&self, tx: &Tx, key: Uuid, outcomes: &[Self::Outcome]) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_by_its_kind_and_its_own_words() {
        for (failure, kind) in [(Failure::Later("away".into()), "later"), (Failure::Never("away".into()), "never")] {
            assert_eq!((failure.kind(), failure.to_string().as_str()), (kind, "away"));
        }
    }
}
