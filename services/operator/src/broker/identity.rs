//! Whose token it is.

/// The pod that a token was made for, as an API server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name: `authentication.kubernetes.io/pod-name`.
    pub pod: String,
    /// Its UID: `authentication.kubernetes.io/pod-uid`.
    pub uid: String,
}

/// Why it isn't known whose a token is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// It isn't valid, isn't for our audience, or isn't bound to a pod.
    #[error("the token isn't a pod's: {0}")]
    Refused(String),
    /// Nobody could be asked.
    #[error("the token can't be checked: {0}")]
    Unavailable(String),
}

/// Says whose a token is. Kubernetes' TokenReview does, for the audience `selvage-operator`.
#[tonic::async_trait]
pub trait Reviewer: Send + Sync + 'static {
    /// Asks whose `token` is. Its caller bounds the time.
    ///
    /// # Errors
    /// See [`ReviewError`].
    async fn review(&self, token: &str) -> Result<Identity, ReviewError>;
}
