//! The words for orders and audiences in a listing's address.

use selvage_proto::catalogue::v1::{Audience, ProductOrder};

/// Orders: the word in the address, the label on the page, and the catalogue's.
pub(super) const ORDERS: [(&str, &str, ProductOrder); 4] = [
    ("newest", "Newest", ProductOrder::Newest),
    ("price-up", "Price, low to high", ProductOrder::PriceAscending),
    ("price-down", "Price, high to low", ProductOrder::PriceDescending),
    ("title", "Name", ProductOrder::Title),
];

/// Audiences likewise; everyone has no word.
pub(super) const AUDIENCES: [(&str, &str, Audience); 2] =
    [("women", "Women", Audience::Women), ("men", "Men", Audience::Men)];
