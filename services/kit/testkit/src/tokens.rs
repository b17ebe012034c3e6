use std::time::Duration;

use selvage_context::clock::Clock;
use selvage_identity::{Issuer, IssuerKey, Role, ServiceToken, TrustedKeys, Verifier};

/// A key that may give any role, and those who trust it.
#[derive(Clone)]
pub struct Tokens {
    issuer: Issuer,
    verifier: Verifier,
}

impl Tokens {
    /// Makes a key.
    ///
    /// # Panics
    /// If the machine has no randomness.
    pub fn new(clock: &Clock) -> Self {
        let key = IssuerKey::generate().expect("randomness");
        let trusted = TrustedKeys::parse(&TrustedKeys::line(&Role::ALL, &key, &[]), |_| false).expect("our own line");
        Self { issuer: Issuer::new(key, clock.clone()), verifier: Verifier::new(trusted, clock.clone()) }
    }

    /// The check that a service makes.
    pub fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }

    /// A token that is valid for an hour.
    pub fn of(&self, role: Role, subject: &str) -> String {
        self.issuer.issue(subject, role, Duration::from_secs(3600))
    }

    /// A service's own token.
    pub fn service(&self, name: &'static str) -> ServiceToken {
        ServiceToken::new(self.issuer.clone(), name)
    }

    /// Who issues them.
    pub fn issuer(&self) -> Issuer {
        self.issuer.clone()
    }
}
