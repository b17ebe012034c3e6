use std::fmt;
use std::sync::Arc;

use selvage_status::{Error, ErrorCode};
use tonic::Request;

use crate::Role;
use crate::trusted::Rpcs;

/// Who makes a call.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    subject: Arc<str>,
    role: Role,
    token: Arc<str>,
    rpcs: Rpcs,
}

impl Caller {
    pub(crate) fn new(subject: Arc<str>, role: Role, token: Arc<str>, rpcs: Rpcs) -> Self {
        Self { subject, role, token, rpcs }
    }

    /// The opaque id of the caller, by which things are theirs.
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
        match self.role {
            Role::Service | Role::Admin => true,
            Role::Guest | Role::Customer => *self.subject == *owner,
            Role::Operations | Role::Faults => false,
        }
    }

    /// Refuses a caller who is in none of `roles`: services ask this for each rpc, so that the answers are alike.
    ///
    /// # Errors
    /// PERMISSION_DENIED, with the roles that may: only another token helps the caller.
    pub fn require(&self, roles: &[Role]) -> Result<(), Error> {
        if roles.contains(&self.role()) {
            return Ok(());
        }
        let names: Vec<_> = roles.iter().map(|role| role.name()).collect();
        Err(Error::new(ErrorCode::PermissionDenied, format!("this is for the role {} only", names.join(" or "))))
    }

    /// Refuses `rpc` ("package.Service/Method") if the key that signed the token names its rpcs and this isn't one of them,
    /// or if it is out of the role's reach.
    pub(crate) fn require_rpc(&self, rpc: &str) -> Result<(), Error> {
        let why = if self.rpcs.as_ref().is_some_and(|rpcs| !rpcs.contains(rpc)) {
            "tokens of this key may not call this rpc: the key's line in the list of trusted keys names those that they may"
        } else if !self.role.reaches(rpc) {
            "this is out of reach for the role of this token"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorCode::PermissionDenied, why))
    }
}

/// Never shows the token.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("role", &self.role).field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// The caller of a request that came through a [`Guarded`](crate::Guarded) service.
///
/// # Errors
/// UNAUTHENTICATED if it didn't: a service that forgot the check refuses instead of serving.
pub fn caller<T>(request: &Request<T>) -> Result<&Caller, Error> {
    request.extensions().get().ok_or_else(|| Error::new(ErrorCode::Unauthenticated, "a token is needed"))
}
