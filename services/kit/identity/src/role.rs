use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a token's holder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Somebody without an account.
    Guest,
    /// Somebody with an account, signed in.
    Customer,
    /// One of our own services.
    Service,
    /// Somebody who looks at how the processes are, and can do nothing else.
    Operations,
    /// Somebody who looks at the processes and may also start faults in them.
    Faults,
    /// Somebody who runs everything.
    Admin,
}

/// The service that a process offers about itself: all that the roles operations and faults can reach.
const ABOUT_PROCESSES: &str = "selvage.operations.";

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] =
        [Self::Guest, Self::Customer, Self::Service, Self::Operations, Self::Faults, Self::Admin];

    /// The role's name in tokens and key files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Customer => "customer",
            Self::Service => "service",
            Self::Operations => "operations",
            Self::Faults => "faults",
            Self::Admin => "admin",
        }
    }

    /// Whether the role can reach `rpc` ("package.Service/Method") at all; the service's own check decides the rest. An rpc
    /// that is new is out of reach of the roles operations and faults, whatever its service forgets to ask.
    pub(crate) fn reaches(self, rpc: &str) -> bool {
        match self {
            Self::Operations | Self::Faults => rpc.starts_with(ABOUT_PROCESSES),
            Self::Guest | Self::Customer | Self::Service | Self::Admin => true,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A role that doesn't exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role '{0}': it must be guest, customer, service, operations, faults or admin")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_by_their_names_and_unknown_ones_refused_with_those_there_are() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        let refused = "wizard".parse::<Role>().unwrap_err().to_string();
        for role in Role::ALL {
            assert!(refused.contains(role.name()), "{refused}");
        }
    }
}
