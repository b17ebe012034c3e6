//! The one page on which an order is placed.

use selvage_proto::checkout::v1::{OrderPreview, PlaceOrderRequest};
use selvage_proto::delivery::v1::{Address, Speed};
use selvage_proto::money::v1::Money;
use tonic::{Code, Status};

use super::money;
use super::picture::Picture;
use crate::fields::Fields;

/// What the test payment can do, with the provider's tokens for it.
pub const CARDS: [(&str, &str, &str); 4] = [
    ("tok_succeeds", "Test card that succeeds", "The payment goes through at once."),
    ("tok_declines", "Test card that is declined", "The order is refused, and nothing is charged."),
    ("tok_times_out", "Test card that times out", "The answer is late; the order waits for it."),
    ("tok_answers_twice", "Test card that answers twice", "It is charged once all the same."),
];

/// The speeds with their words in the form.
const SPEEDS: [(&str, Speed); 2] = [("standard", Speed::Standard), ("express", Speed::Express)];
/// Longer texts than anything that could be right are cut: the services name what is still too long.
const MAX_TEXT_CHARS: usize = 400;

/// What the buyer filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckoutForm {
    /// Names this purchase: the same key is bought once.
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
    /// The bag that the buyer saw.
    pub etag: String,
    /// The total that the buyer saw, in minor units of `currency`.
    pub total: i64,
    /// See `total`.
    pub currency: String,
}

impl CheckoutForm {
    /// Reads the form. This can't fail; [`wrong`](Self::wrong) says what isn't right.
    pub fn parse(fields: &Fields) -> Self {
        let text = |name: &str| -> String { fields.get(name).chars().take(MAX_TEXT_CHARS).collect() };
        let speed = SPEEDS.iter().find(|(word, _)| *word == fields.get("speed")).map_or("standard", |(word, _)| word);
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
            total: fields.get(&format!("total_{speed}")).parse().unwrap_or(-1),
            speed,
            etag: text("etag"),
            currency: text("currency"),
        }
    }

    /// What can be told to be wrong here.
    pub fn wrong(&self) -> Wrong {
        let mut wrong = Wrong::default();
        let filled = [
            ("email", &self.email),
            ("recipient", &self.recipient),
            ("line1", &self.line1),
            ("city", &self.city),
            ("country", &self.country),
        ];
        for (name, _) in filled.into_iter().filter(|(_, text)| text.is_empty()) {
            wrong.add(name);
        }
        if self.card.is_empty() {
            wrong.add("card");
        }
        wrong
    }

    /// What is sent to checkout.
    pub fn request(&self) -> PlaceOrderRequest {
        let lines = [&self.line1, &self.line2].into_iter().filter(|line| !line.is_empty()).cloned().collect();
        PlaceOrderRequest {
            idempotency_key: self.key.clone(),
            cart_etag: self.etag.clone(),
            expected_total: Some(Money { currency: self.currency.clone(), minor_units: self.total }),
            email: self.email.clone(),
            address: Some(Address {
                recipient: self.recipient.clone(),
                lines,
                postal_code: self.postal_code.clone(),
                city: self.city.clone(),
                country: self.country.clone(),
            }),
            speed: SPEEDS.iter().find(|(word, _)| *word == self.speed).map_or(Speed::Standard, |(_, s)| *s).into(),
            payment_token: self.card.to_owned(),
        }
    }

    /// The fields as they are sent again while the order is still being placed.
    pub fn again(&self) -> Vec<(String, String)> {
        let pairs = [
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
        let mut pairs: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.clone())).into();
        pairs.push(("speed".to_owned(), self.speed.to_owned()));
        pairs.push(("card".to_owned(), self.card.to_owned()));
        pairs.push((format!("total_{}", self.speed), self.total.to_string()));
        pairs
    }
}

/// Sentences for fields that aren't right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wrong(Vec<(&'static str, &'static str)>);

const SENTENCES: [(&str, &str); 9] = [
    ("email", "Please give an e-mail address like name@example.org, for the confirmation."),
    ("recipient", "Please give the recipient's name, up to 100 characters."),
    ("line1", "Please give street and number, up to 100 characters."),
    ("line2", "Please keep this line under 100 characters."),
    ("postal_code", "This doesn't look like a postal code of that country."),
    ("city", "Please give the city, up to 100 characters."),
    ("country", "Please choose a country."),
    ("speed", "This delivery isn't offered for that country. Please choose another."),
    ("card", "Please choose how to pay."),
];

impl Wrong {
    /// The sentence for a field; empty if it is right.
    pub fn of(&self, field: &str) -> &'static str {
        self.0.iter().find(|(name, _)| *name == field).map_or("", |(_, sentence)| sentence)
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, field: &str) {
        if let Some(known) = SENTENCES.iter().find(|(name, _)| *name == field)
            && !self.0.contains(known)
        {
            self.0.push(*known);
        }
    }

    /// Fields as checkout names them, as the form does; `false` if one isn't in the form.
    fn add_violation(&mut self, field: &str) -> bool {
        let ours = match field.strip_prefix("address.").unwrap_or(field) {
            "lines" | "lines[0]" => "line1",
            "lines[1]" => "line2",
            "payment_token" => "card",
            other => other,
        };
        self.add(ours);
        !self.of(ours).is_empty()
    }
}

/// What became of an order that checkout didn't take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nobody knows yet: the same form with the same key is to be sent again.
    Pending,
    /// It was refused. The form is shown again, with a new key.
    Shown {
        /// What happened, and what to do.
        alert: &'static str,
        /// What is wrong in the form.
        wrong: Wrong,
        /// What couldn't be had: SKUs with why.
        short: Vec<(String, String)>,
        /// Whether to lead to the bag.
        to_bag: bool,
        /// Whether to lead to the orders.
        to_orders: bool,
    },
}

/// Reads checkout's refusal.
///
/// A failure that isn't a refusal leaves open whether the order was placed: it counts as pending, so that the key stays
/// the same and nothing is bought twice.
pub fn refused(status: &Status) -> Refused {
    let reason = selvage_status::reason(status).unwrap_or_default();
    let mut wrong = Wrong::default();
    let (mut to_bag, mut to_orders) = (false, false);
    let alert = match (status.code(), reason.as_str()) {
        (_, "OUT_OF_STOCK") => {
            to_bag = true;
            "Some of it sold out while you were here. Nothing was charged. Change your bag, then order the rest."
        }
        (_, "PAYMENT_DECLINED") => {
            "The card was declined, and nothing was charged. Choose another card and place the order again."
        }
        (_, "PRICE_CHANGED") => {
            "The total has changed since you saw it. Nothing was charged. Look at the new total, then place the order again."
        }
        (_, "CART_CHANGED") => {
            "Your bag has changed, perhaps in another tab. Nothing was charged. Look at it here, then place the order again."
        }
        (_, "CART_EMPTY") => {
            to_bag = true;
            "There is nothing in your bag that can be bought. Put something in, then come back."
        }
        (_, "COUNTRY_NOT_SERVED") => {
            wrong.add("country");
            "We don't deliver to that country yet. Nothing was charged. Choose another country."
        }
        (_, "RESERVATION_LAPSED") => {
            "Placing the order took too long, so it was undone. Nothing was charged. Please place it again."
        }
        (_, "ORDER_UNDONE") => "The order was interrupted and undone. Nothing was charged. Please place it again.",
        (_, "IDEMPOTENCY_KEY_REUSED") => {
            to_orders = true;
            "This form was sent before with other content. If you ordered then, you find it among your orders. \
             If not, place the order again."
        }
        (Code::InvalidArgument, _) => {
            let fields = selvage_status::field_violations(status);
            let known = fields.iter().filter(|(field, _)| wrong.add_violation(field)).count();
            if known == fields.len() && known > 0 {
                "Some of the form isn't right yet. Nothing was charged. Please look at what is marked."
            } else {
                "The page had become old. Nothing was charged. Please look it over and place the order again."
            }
        }
        (Code::FailedPrecondition | Code::NotFound | Code::AlreadyExists, _) => {
            "The order couldn't be placed as it is. Nothing was charged. Please look it over and try again."
        }
        _ => return Refused::Pending,
    };
    Refused::Shown { alert, wrong, short: selvage_status::precondition_subjects(status), to_bag, to_orders }
}

/// A line of the summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryLine {
    /// Its product's name.
    pub title: String,
    /// Colour and size.
    pub variant: String,
    /// Pieces.
    pub quantity: i32,
    /// The price of all.
    pub total: String,
    /// What it looks like.
    pub picture: Picture,
}

/// One way of delivery, with what the order costs by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryChoice {
    /// "standard" or "express".
    pub word: &'static str,
    /// "Standard".
    pub label: &'static str,
    /// "3 to 5 working days".
    pub days: String,
    /// The delivery's price, or "Free".
    pub price: String,
    /// The goods.
    pub subtotal: String,
    /// The tax in the total; empty if there is none.
    pub tax: String,
    /// "19 %".
    pub tax_rate: String,
    /// All.
    pub total: String,
    /// The same in minor units.
    pub total_minor: i64,
    /// Whether it is chosen.
    pub checked: bool,
}

/// What the order would cost, for each way of delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// What is bought.
    pub lines: Vec<SummaryLine>,
    /// The ways of delivery; none if nothing is delivered there.
    pub choices: Vec<DeliveryChoice>,
    /// The bag that was looked at.
    pub etag: String,
    /// Of all amounts.
    pub currency: String,
}

impl Costs {
    /// From checkout's previews, one for each speed, and the speed that is chosen.
    pub fn new(previews: &[(Speed, OrderPreview)], chosen: &str) -> Self {
        let Some((_, first)) = previews.first() else { return Self::default() };
        let mut choices: Vec<_> = previews.iter().filter_map(|(speed, preview)| choice(*speed, preview)).collect();
        let chosen = choices.iter().position(|choice| choice.word == chosen).unwrap_or(0);
        if let Some(choice) = choices.get_mut(chosen) {
            choice.checked = true;
        }
        let lines = first.lines.iter().map(|line| SummaryLine {
            title: line.title.clone(),
            variant: super::bag::variant(&line.colour, &line.size),
            quantity: line.quantity,
            total: money::of(line.line_total.as_ref()),
            picture: Picture::of_key(&line.picture_key, "", ""),
        });
        let total = first.amounts.as_ref().and_then(|amounts| amounts.total.as_ref());
        Self {
            lines: lines.collect(),
            choices,
            etag: first.cart_etag.clone(),
            currency: total.map(|total| total.currency.clone()).unwrap_or_default(),
        }
    }
}

fn choice(speed: Speed, preview: &OrderPreview) -> Option<DeliveryChoice> {
    let option = preview.delivery_options.iter().find(|option| option.speed() == speed)?;
    let amounts = preview.amounts.as_ref()?;
    let total = amounts.total.as_ref()?;
    let (word, label) = match speed {
        Speed::Express => ("express", "Express"),
        Speed::Standard | Speed::Unspecified => ("standard", "Standard"),
    };
    let (from, to) = (option.min_days, option.max_days);
    let days = match (from, to) {
        (1, 1) => "1 working day".to_owned(),
        (from, to) if from == to => format!("{to} working days"),
        (from, to) => format!("{from} to {to} working days"),
    };
    let free = option.price.as_ref().is_some_and(|price| price.minor_units == 0);
    let taxed = amounts.tax.as_ref().filter(|tax| tax.minor_units > 0);
    Some(DeliveryChoice {
        word,
        label,
        days,
        price: if free { "Free".to_owned() } else { money::of(option.price.as_ref()) },
        subtotal: money::of(amounts.subtotal.as_ref()),
        tax: money::of(taxed),
        tax_rate: percent(amounts.tax_basis_points),
        total: money::of(Some(total)),
        total_minor: total.minor_units,
        checked: false,
    })
}

/// Basis points as per cent: "19 %", "8.1 %".
pub fn percent(basis_points: i32) -> String {
    let fraction = format!("{:02}", basis_points.unsigned_abs() % 100);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction} %", basis_points.unsigned_abs() / 100)
}

#[cfg(test)]
mod tests {
    use selvage_status::{Error, ErrorCode};

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
    fn sent_again_the_form_says_the_same() {
        let again = form().again();
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

    #[test]
    fn every_refusal_says_what_to_do_and_what_was_charged() {
        let reasons = [
            "OUT_OF_STOCK",
            "PAYMENT_DECLINED",
            "PRICE_CHANGED",
            "CART_CHANGED",
            "CART_EMPTY",
            "COUNTRY_NOT_SERVED",
            "RESERVATION_LAPSED",
            "ORDER_UNDONE",
            "IDEMPOTENCY_KEY_REUSED",
        ];
        let mut sentences = std::collections::HashSet::new();
        for reason in reasons {
            let status = Status::from(Error::precondition(reason, "x").violated("SKU-1", "1 is left"));
            let Refused::Shown { alert, short, .. } = refused(&status) else { panic!("{reason}") };
            assert!(sentences.insert(alert), "{reason} has another's sentence");
            assert_eq!(short.len(), 1);
        }
    }

    #[test]
    fn wrong_fields_are_found_in_the_form() {
        let error =
            Error::invalid("address.lines[0]", "x").field("address.postal_code", "x").field("payment_token", "x");
        let Refused::Shown { wrong, .. } = refused(&Status::from(error)) else { panic!() };
        for field in ["line1", "postal_code", "card"] {
            assert!(!wrong.of(field).is_empty(), "{field}");
        }
    }

    #[test]
    fn an_unknown_outcome_keeps_the_key() {
        for code in [ErrorCode::Aborted, ErrorCode::Unavailable, ErrorCode::DeadlineExceeded, ErrorCode::Internal] {
            assert_eq!(refused(&Status::from(Error::new(code, "x"))), Refused::Pending, "{code:?}");
        }
    }

    #[test]
    fn per_cents_are_short() {
        assert_eq!(
            (percent(1900), percent(810), percent(2105), percent(0)),
            ("19 %".into(), "8.1 %".into(), "21.05 %".into(), "0 %".into())
        );
    }
}
