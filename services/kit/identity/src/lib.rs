//! Who calls: short-lived signed tokens, and the check that every service makes.
//!
//! Tokens are PASETO v4.public (Ed25519; one algorithm, so there is none to confuse). Whoever issues them holds a secret
//! key; services hold a list of public keys, each with the roles that its holder may give, so that a stolen web key can
//! make guests but no admin, and with the rpcs that its tokens may call, so that a stolen service's key opens what that
//! service calls and nothing else. See <https://github.com/paseto-standard/paseto-spec>.
//!
//! Keys and lists can be replaced while the process runs ([`Verifier::replace_keys`], [`Issuer::replace_keys`]).

mod caller;
mod guard;
mod keys;
mod metrics;
mod role;
mod token;
mod trusted;
mod verify;

pub use caller::{Caller, caller};
pub use guard::Guarded;
pub use keys::{IssuerKey, IssuerKeys, KeyError};
pub use role::{Role, UnknownRole};
pub use token::{Issuer, KeptToken, LONGEST_LIFE, ServiceToken};
pub use trusted::TrustedKeys;
pub use verify::Verifier;
