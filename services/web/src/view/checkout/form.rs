//! The checkout form: what the buyer filled in.

use selvage_proto::checkout::v1::PlaceOrderRequest;
use selvage_proto::delivery::v1::Address;
use selvage_proto::money::v1::Money;

use super::speed;
use super::wrong::WrongFields;
use crate::fields::Fields;

/// What the test payment can do: the provider's token, what the page calls it, and what happens with it.
pub const CARDS: [(&str, &str, &str); 4] = [
    ("tok_succeeds", "Test card that succeeds", "The payment goes through at once."),
    ("tok_declines", "Test card that is declined", "The order is refused, and nothing is charged."),
    ("tok_times_out", "Test card that times out", "The answer is late; the order waits for it."),
    ("tok_answers_twice", "Test card that answers twice", "It is charged once all the same."),
];

/// Longer texts than anything that could be right are cut: the services name what is still too long.
const MAX_TEXT_CHARS: usize = 400;

/// What the buyer filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckoutForm {
    /// The idempotency key, which names this purchase: the same key is bought once.
    pub key: String,
    /// For the confirmation.
    pub email: String,
    /// Who receives the parcel.
    pub recipient: String,
    /// Street and number.
    pub line1: String,
    /// What else the carrier needs; may be empty.
    pub line2: String,
    /// Postal code.
    pub postal_code: String,
    /// City.
    pub city: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// "standard" or "express".
    pub speed: &'static str,
    /// One of the [`CARDS`], or empty.
    pub card: &'static str,
    /// The version of the bag that the buyer saw.
    pub etag: String,
    /// The total that the buyer saw for this speed, in minor units of `currency`; `None` if the form has none.
    pub total: Option<i64>,
    /// ISO 4217.
    pub currency: String,
}

impl CheckoutForm {
    /// Reads the form. This can't fail; [`wrong`](Self::wrong) says what isn't right.
    pub fn parse(fields: &Fields) -> Self {
        let text = |name: &str| -> String { fields.get(name).chars().take(MAX_TEXT_CHARS).collect() };
        let speed = speed::word(speed::of_word(fields.get("speed")));
        Self {
            key: text("key"),
            email: text("email"),
            recipient: text("recipient"),
            line1: text("line1"),
            line2: text("line2"),
            postal_code: text("postal_code"),
            city: text("city"),
            country: text("country").to_uppercase(),
            card: CARDS.iter().find(|(token, ..)| *token == fields.get("card")).map_or("", |(token, ..)| token),
            total: fields.get(&total_field(speed)).parse().ok(),
            speed,
            etag: text("etag"),
            currency: text("currency"),
        }
    }

    /// All fields that can be told to be wrong without asking a service: those that must be filled in and aren't.
    pub fn wrong(&self) -> WrongFields {
        let needed = [
            ("email", self.email.as_str()),
            ("recipient", &self.recipient),
            ("line1", &self.line1),
            ("city", &self.city),
            ("country", &self.country),
            ("card", self.card),
        ];
        let mut wrong = WrongFields::default();
        for (name, _) in needed.into_iter().filter(|(_, text)| text.is_empty()) {
            wrong.add(name);
        }
        wrong
    }

    /// What is sent to checkout. A total that the form lacks is left out, for which checkout refuses the order.
    pub fn request(&self) -> PlaceOrderRequest {
        let lines = [&self.line1, &self.line2].into_iter().filter(|line| !line.is_empty()).cloned().collect();
        PlaceOrderRequest {
            idempotency_key: self.key.clone(),
            cart_etag: self.etag.clone(),
            expected_total: self.total.map(|minor_units| Money { currency: self.currency.clone(), minor_units }),
            email: self.email.clone(),
            address: Some(Address {
                recipient: self.recipient.clone(),
                lines,
                postal_code: self.postal_code.clone(),
                city: self.city.clone(),
                country: self.country.clone(),
            }),
            speed: speed::of_word(self.speed).into(),
            payment_token: self.card.to_owned(),
        }
    }

    /// The form's fields, to be sent again while the order is still being placed.
    pub fn fields(&self) -> Vec<(String, String)> {
        let texts = [
            ("key", &self.key),
            ("email", &self.email),
            ("recipient", &self.recipient),
            ("line1", &self.line1),
            ("line2", &self.line2),
            ("postal_code", &self.postal_code),
            ("city", &self.city),
            ("country", &self.country),
            ("etag", &self.etag),
            ("currency", &self.currency),
        ];
        let mut fields: Vec<_> = texts.map(|(name, value)| (name.to_owned(), value.clone())).into();
        fields.push(("speed".to_owned(), self.speed.to_owned()));
        fields.push(("card".to_owned(), self.card.to_owned()));
        fields.extend(self.total.map(|total| (total_field(self.speed), total.to_string())));
        fields
    }
}

/// The name of the hidden field with the total that a delivery of this speed comes to.
fn total_field(speed: &str) -> String {
    format!("total_{speed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> CheckoutForm {
        let text = "key=0123456789abcdef&email=a%40b.org&recipient=Ada&line1=Ring+1&city=Leipzig&country=de&speed=express&card=tok_succeeds&etag=e&total_standard=100&total_express=200&currency=EUR";
        CheckoutForm::parse(&Fields::parse(text.as_bytes()))
    }

    #[test]
    fn the_total_that_counts_is_the_chosen_deliverys() {
        let request = form().request();
        assert_eq!(request.expected_total.unwrap().minor_units, 200);
        assert_eq!(request.address.unwrap().country, "DE");
        assert!(form().wrong().is_empty());
    }

    #[test]
    fn a_total_that_the_form_lacks_is_left_out_and_not_0() {
        for text in ["speed=express&total_standard=100", "speed=express&total_express=much", ""] {
            let form = CheckoutForm::parse(&Fields::parse(text.as_bytes()));
            assert_eq!(form.request().expected_total, None, "{text}");
        }
    }

    #[test]
    fn sent_again_the_form_says_the_same() {
        let again = form().fields();
        let encoded = crate::fields::encode(again.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        assert_eq!(CheckoutForm::parse(&Fields::parse(encoded.as_bytes())), form());
    }

    #[test]
    fn an_empty_form_is_wrong_field_by_field() {
        let wrong = CheckoutForm::parse(&Fields::default()).wrong();
        for field in ["email", "recipient", "line1", "city", "country", "card"] {
            assert!(!wrong.of(field).is_empty(), "{field}");
        }
        assert_eq!(wrong.of("line2"), "");
    }
}
