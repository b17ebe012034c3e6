//! What a cart costs, delivered: one computation for the preview and for the order, so that both say the same.

use selvage_identity::Caller;
use selvage_proto::delivery::v1::DeliveryOption;
use selvage_proto::money::v1::Money;
use selvage_status::{Error, Result};

use crate::domain::order::{Address, Amounts, Speed};
use crate::domain::pricing::{self, TooLarge};
use crate::peers::{Bag, Shop, price_of};

/// Where a parcel is to go, as far as it is known.
#[derive(Clone, Copy)]
pub(crate) enum Destination<'a> {
    /// A country: enough for a price.
    Country(&'a str),
    /// All that a parcel needs; delivery says too whether it can be sent there.
    Address(&'a Address),
}

impl Destination<'_> {
    fn country(&self) -> &str {
        match self {
            Self::Country(country) => country,
            Self::Address(address) => &address.country,
        }
    }

    fn address(&self) -> Option<&Address> {
        match self {
            Self::Country(_) => None,
            Self::Address(address) => Some(address),
        }
    }
}

/// A cart's price.
pub(crate) struct Quote {
    /// What it costs.
    pub(crate) amounts: Amounts,
    /// All ways there are to the destination, cheapest first.
    pub(crate) options: Vec<DeliveryOption>,
}

/// The caller's cart with today's prices.
///
/// # Errors
/// FAILED_PRECONDITION (`CART_EMPTY`) for an empty one, and the cart service's own errors.
pub(crate) async fn bag(shop: &Shop, caller: &Caller) -> Result<Bag> {
    let bag = shop.bag(caller).await?;
    if bag.lines.is_empty() {
        return Err(Error::precondition("CART_EMPTY", "there is nothing in the bag to order"));
    }
    Ok(bag)
}

/// What `bag` costs, delivered at `speed`.
///
/// # Errors
/// INVALID_ARGUMENT for a speed that isn't offered there, a sum that no order can have, and what delivery says is wrong
/// with the address; FAILED_PRECONDITION (`COUNTRY_NOT_SERVED`); INTERNAL if delivery leaves a price out.
pub(crate) async fn quote(
    shop: &Shop,
    caller: &Caller,
    bag: &Bag,
    destination: Destination<'_>,
    speed: Speed,
) -> Result<Quote> {
    let too_large = |error: TooLarge| Error::invalid("cart", error.to_string());
    let subtotal = pricing::subtotal(&bag.lines).map_err(too_large)?;
    let money = Money { currency: bag.currency.clone(), minor_units: subtotal };
    let country = destination.country();
    let options = shop.quote(caller, country, destination.address(), bag.grams, money).await?;
    let delivery = price_of(&options, speed)?
        .ok_or_else(|| Error::invalid("speed", "isn't offered for this country; take one from the preview"))?;
    let amounts = pricing::amounts(&bag.currency, subtotal, delivery, country).map_err(too_large)?;
    Ok(Quote { amounts, options })
}
