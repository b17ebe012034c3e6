//! What a caller of PlaceOrder wants, checked and in one piece.

use sha2::{Digest as _, Sha256};

use super::order::{Address, Speed};

/// A purchase as its caller means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The caller's key for it.
    pub idempotency_key: String,
    /// The cart that is bought.
    pub cart_etag: String,
    /// ISO 4217.
    pub currency: String,
    /// The total that the buyer was shown, minor units.
    pub expected_total: i64,
    /// For the confirmation.
    pub email: String,
    /// Where it goes.
    pub address: Address,
    /// How fast.
    pub speed: Speed,
    /// The payment method's token.
    pub payment_token: String,
}

impl Intent {
    /// What the key stands for: a hash of all the rest. Each field goes in with its length, so that no two intents run
    /// together into the same bytes. The payment token is in it, but can't be had from it.
    pub fn fingerprint(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        let mut field = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        field(&self.cart_etag);
        field(&self.currency);
        field(&self.expected_total.to_string());
        field(&self.email);
        field(&self.address.recipient);
        field(&self.address.lines.len().to_string());
        self.address.lines.iter().for_each(|line| field(line));
        field(&self.address.postal_code);
        field(&self.address.city);
        field(&self.address.country);
        field(match self.speed {
            Speed::Standard => "standard",
            Speed::Express => "express",
        });
        field(&self.payment_token);
        hash.finalize().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent() -> Intent {
        Intent {
            idempotency_key: "k".repeat(16),
            cart_etag: "7".into(),
            currency: "EUR".into(),
            expected_total: 3990,
            email: "a@example.org".into(),
            address: Address {
                recipient: "A".into(),
                lines: vec!["B 1".into()],
                postal_code: "04109".into(),
                city: "Leipzig".into(),
                country: "DE".into(),
            },
            speed: Speed::Standard,
            payment_token: "tok_succeeds".into(),
        }
    }

    /// A way in which one purchase can differ from another.
    type Change = fn(&mut Intent);

    #[test]
    fn every_field_counts_and_the_key_does_not() {
        let same = Intent { idempotency_key: "other-key-000000".into(), ..intent() };
        assert_eq!(intent().fingerprint(), same.fingerprint());
        let changes: [Change; 11] = [
            |intent| intent.cart_etag.push('x'),
            |intent| intent.currency = "USD".into(),
            |intent| intent.expected_total += 1,
            |intent| intent.email.push('x'),
            |intent| intent.address.recipient.push('x'),
            |intent| intent.address.lines.push(String::new()),
            |intent| intent.address.postal_code.push('x'),
            |intent| intent.address.city.push('x'),
            |intent| intent.address.country = "AT".into(),
            |intent| intent.speed = Speed::Express,
            |intent| intent.payment_token.push('x'),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut other = intent();
            change(&mut other);
            assert_ne!(intent().fingerprint(), other.fingerprint(), "change {index}");
        }
    }

    #[test]
    fn fields_do_not_run_together() {
        let (mut left, mut right) = (intent(), intent());
        (left.address.postal_code, left.address.city) = ("0410".into(), "9Leipzig".into());
        (right.address.postal_code, right.address.city) = ("04109".into(), "Leipzig".into());
        assert_ne!(left.fingerprint(), right.fingerprint());
    }
}
