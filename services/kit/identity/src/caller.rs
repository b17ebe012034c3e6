use std::fmt;
use std::sync::Arc;

use selvage_status::{Error, ErrorCode};
use tonic::Request;

use crate::Role;

/// Who makes a call.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    subject: Arc<str>,
    role: Role,
    token: Arc<str>,
}

impl Caller {
    pub(crate) fn new(subject: Arc<str>, role: Role, token: Arc<str>) -> Self {
        Self { subject, role, token }
    }

    /// The opaque id of the caller, by which carts and orders are theirs.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What the caller is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The token itself, to call another service on the caller's behalf.
    pub fn token(&self) -> &Arc<str> {
        &self.token
    }

    /// Whether the caller may see what belongs to `owner`: it is theirs, or they are a service or an admin. To all
    /// others it must look as if it didn't exist.
    pub fn may_see(&self, owner: &str) -> bool {
        matches!(self.role, Role::Service | Role::Admin) || *self.subject == *owner
    }
}

/// Never shows the token.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("role", &self.role).field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// The caller of a request that passed a [`Verifier`](crate::Verifier).
///
/// # Errors
/// UNAUTHENTICATED if the request didn't pass one: a service that forgot the check refuses instead of serving.
pub fn caller<T>(request: &Request<T>) -> Result<&Caller, Error> {
    request.extensions().get().ok_or_else(|| Error::new(ErrorCode::Unauthenticated, "a token is needed"))
}
