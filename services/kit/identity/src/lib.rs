//! Who calls: short-lived signed tokens, and the check that every service makes.
//!
//! Tokens are PASETO v4.public (Ed25519; one algorithm, so there is none to confuse). Whoever issues them holds a secret
//! key; services hold a list of public keys, each with the roles that its holder may give, so that a stolen web key can
//! make guests but no admin. See <https://github.com/paseto-standard/paseto-spec>.

mod caller;
mod keys;
mod token;
mod verify;

pub use caller::{Caller, caller};
pub use keys::{IssuerKey, KeyError, TrustedKeys};
pub use token::{Issuer, Role, ServiceToken};
pub use verify::Verifier;
