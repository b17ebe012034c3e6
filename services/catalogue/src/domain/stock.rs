//! Setting stock aside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Set aside.
    Held,
    /// Taken off the shelf for good.
    Committed,
    /// Given back.
    Released,
}

impl State {
    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Committed => "committed",
            Self::Released => "released",
        }
    }

    /// The state that a stored word means.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Held, Self::Committed, Self::Released].into_iter().find(|state| state.word() == word)
    }
}

/// Pieces of a SKU.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    /// Stock-keeping unit.
    pub sku: String,
    /// 1 or more.
    pub quantity: i32,
}

/// The lines with each SKU once, in the order of SKUs: two reservations that share SKUs take their rows in the same order,
/// and so never wait for each other in a circle.
pub fn summed(lines: &[Line]) -> Vec<Line> {
    let mut sums: BTreeMap<&str, i32> = BTreeMap::new();
    for line in lines {
        let sum = sums.entry(&line.sku).or_default();
        *sum = sum.saturating_add(line.quantity);
    }
    sums.into_iter().map(|(sku, quantity)| Line { sku: sku.to_owned(), quantity }).collect()
}

/// What checkout says of the order behind a reservation that is past its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It may need the stock: it is being placed, or was.
    Alive,
    /// It was refused, undone or cancelled.
    Over,
    /// Checkout has never heard of it.
    Unknown,
}

/// Whether a reservation past its time lapses. Time alone never decides: a confirmed order's stock is its own, however
/// late the message is that takes it off the shelf.
pub fn lapses(order: Order) -> bool {
    match order {
        Order::Alive => false,
        Order::Over | Order::Unknown => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_confirmed_reservation_never_lapses() {
        assert!(!lapses(Order::Alive));
        assert!(lapses(Order::Over) && lapses(Order::Unknown));
    }

    proptest! {
        #[test]
        fn sums_keep_every_piece_and_stand_in_order(lines in prop::collection::vec(("[A-C]", 1_i32..99), 0..20)) {
            let lines: Vec<_> = lines.into_iter().map(|(sku, quantity)| Line { sku, quantity }).collect();
            let sums = summed(&lines);
            prop_assert!(sums.windows(2).all(|pair| pair[0].sku < pair[1].sku));
            prop_assert_eq!(sums.iter().map(|l| l.quantity).sum::<i32>(), lines.iter().map(|l| l.quantity).sum::<i32>());
        }
    }
}
