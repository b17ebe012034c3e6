//! What the order would cost, for each way of delivery.

use selvage_proto::checkout::v1::OrderPreview;
use selvage_proto::delivery::v1::Speed;

use super::speed;
use crate::view::missing::Missing;
use crate::view::money;
use crate::view::summary::{Costs, SummaryLine};

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
    /// What the order costs.
    pub costs: Costs,
    /// The total in minor units.
    pub total_minor: i64,
    /// Whether it is chosen.
    pub checked: bool,
}

/// What the order would cost, for each way of delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// What is bought.
    pub lines: Vec<SummaryLine>,
    /// The ways of delivery; none if nothing is delivered there.
    pub choices: Vec<DeliveryChoice>,
    /// The version of the bag that was looked at.
    pub etag: String,
    /// Of all amounts.
    pub currency: String,
}

impl Offers {
    /// From checkout's previews, one for each speed, and the speed that is chosen.
    ///
    /// # Errors
    /// [`Missing`] if a preview lacks a price, an amount or a quantity.
    pub fn new(previews: &[(Speed, OrderPreview)], chosen: &str) -> Result<Self, Missing> {
        let Some((_, first)) = previews.first() else { return Ok(Self::default()) };
        let choices = previews.iter().filter_map(|(speed, preview)| choice(*speed, preview).transpose());
        let mut choices = choices.collect::<Result<Vec<_>, _>>()?;
        let chosen = choices.iter().position(|choice| choice.word == chosen).unwrap_or(0);
        if let Some(choice) = choices.get_mut(chosen) {
            choice.checked = true;
        }
        let total = first.amounts.as_ref().and_then(|amounts| amounts.total.as_ref());
        Ok(Self {
            lines: SummaryLine::all(&first.lines)?,
            choices,
            etag: first.cart_etag.clone(),
            currency: money::given(total, "Amounts.total")?.currency.clone(),
        })
    }
}

/// What the order costs by `speed`; `None` if it isn't offered.
fn choice(speed: Speed, preview: &OrderPreview) -> Result<Option<DeliveryChoice>, Missing> {
    let Some(option) = preview.delivery_options.iter().find(|option| option.speed() == speed) else { return Ok(None) };
    let costs = Costs::new(preview.amounts.as_ref())?;
    let total = preview.amounts.as_ref().and_then(|amounts| amounts.total.as_ref());
    let days = match (option.min_days, option.max_days) {
        (1, 1) => "1 working day".to_owned(),
        (from, to) if from == to => format!("{to} working days"),
        (from, to) => format!("{from} to {to} working days"),
    };
    Ok(Some(DeliveryChoice {
        word: speed::word(speed),
        label: speed::label(speed),
        days,
        price: money::price_or_free(option.price.as_ref(), "DeliveryOption.price")?,
        costs,
        total_minor: money::given(total, "Amounts.total")?.minor_units,
        checked: false,
    }))
}

#[cfg(test)]
mod tests {
    use selvage_proto::checkout::v1::Amounts;
    use selvage_proto::delivery::v1::DeliveryOption;
    use selvage_proto::money::v1::Money;

    use super::*;

    fn preview(speed: Speed, delivery: i64) -> (Speed, OrderPreview) {
        let eur = |minor_units| Some(Money { currency: "EUR".into(), minor_units });
        let options = [(Speed::Standard, 0), (Speed::Express, 990)].map(|(speed, price)| DeliveryOption {
            speed: speed.into(),
            price: eur(price),
            min_days: 1,
            max_days: 2,
        });
        let amounts = Amounts {
            subtotal: eur(6000),
            delivery: eur(delivery),
            tax: eur(0),
            tax_basis_points: 0,
            total: eur(6000 + delivery),
        };
        let preview = OrderPreview {
            delivery_options: options.into(),
            amounts: Some(amounts),
            cart_etag: "7".into(),
            ..OrderPreview::default()
        };
        (speed, preview)
    }

    #[test]
    fn each_way_of_delivery_has_its_own_total() {
        let previews = [preview(Speed::Standard, 0), preview(Speed::Express, 990)];
        let offers = Offers::new(&previews, "express").unwrap();
        let seen: Vec<_> = offers
            .choices
            .iter()
            .map(|choice| (choice.word, &*choice.price, &*choice.costs.total, choice.total_minor, choice.checked))
            .collect();
        assert_eq!(seen, [("standard", "Free", "€60.00", 6000, false), ("express", "€9.90", "€69.90", 6990, true)]);
        assert_eq!((offers.currency.as_str(), offers.etag.as_str()), ("EUR", "7"));
        assert_eq!(Offers::new(&[], "express"), Ok(Offers::default()));
    }

    #[test]
    fn a_preview_without_a_price_is_named_and_costs_not_0() {
        let (speed, mut unpriced) = preview(Speed::Standard, 0);
        unpriced.delivery_options[0].price = None;
        assert_eq!(Offers::new(&[(speed, unpriced)], "standard"), Err(Missing("DeliveryOption.price")));
        let (speed, mut unpriced) = preview(Speed::Standard, 0);
        unpriced.amounts = None;
        assert_eq!(Offers::new(&[(speed, unpriced)], "standard"), Err(Missing("Order.amounts")));
    }
}
