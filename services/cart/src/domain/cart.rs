//! A cart and what may be done to it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// Pieces in a line, at most.
pub const MAX_QUANTITY: i32 = 99;
/// Lines in a cart, at most: one call to the catalogue prices them all.
pub const MAX_LINES: usize = 50;
/// The longest SKU, in bytes.
const MAX_SKU: usize = 64;

/// A stock-keeping unit: 1 to 64 of A-Z, 0-9, '-', '.', '_' and '/'.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku(String);

impl Sku {
    /// Reads one; `None` if it has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-._/".contains(&byte);
        let right = (1..=MAX_SKU).contains(&text.len()) && text.bytes().all(allowed);
        right.then(|| Self(text.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Pieces of one SKU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub sku: Sku,
    /// How many, 1 to [`MAX_QUANTITY`].
    pub quantity: i32,
    /// Its place among the lines: higher ones come later.
    pub position: i32,
}

/// Lines in the order in which they were put in, one a SKU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cart {
    lines: Vec<Line>,
}

/// Why a cart can't be changed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CartError {
    /// A line would have more than [`MAX_QUANTITY`] pieces.
    #[error("at most {MAX_QUANTITY} pieces of {} can be in a cart", .0.as_str())]
    LineFull(Sku),
    /// There would be more than [`MAX_LINES`] lines.
    #[error("at most {MAX_LINES} different things can be in a cart")]
    CartFull,
    /// There is no such line.
    #[error("{} is not in the cart", .0.as_str())]
    NotInCart(Sku),
}

impl Cart {
    /// The cart with these lines, in any order.
    pub fn of(mut lines: Vec<Line>) -> Self {
        lines.sort_by_key(|line| line.position);
        Self { lines }
    }

    /// The lines in their order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The sum of quantities, at most 4,950.
    pub fn item_count(&self) -> i32 {
        self.lines.iter().map(|line| line.quantity).sum()
    }

    /// Differs between carts that differ in lines, quantities or their order, and only between those. It is made of the
    /// content, so it needs no counter that a forgotten cart would lose.
    pub fn etag(&self) -> String {
        let mut hash = Sha256::new();
        for line in &self.lines {
            // No SKU has a zero byte in it, so the rows of bytes can't be read in two ways.
            hash.update(line.sku.as_str());
            hash.update([0]);
            hash.update(line.quantity.to_be_bytes());
        }
        BASE64_URL_SAFE_NO_PAD.encode(&hash.finalize()[..15])
    }

    /// With `quantity` (1 to [`MAX_QUANTITY`]) pieces more.
    ///
    /// # Errors
    /// The line or the cart would be over its bound.
    pub fn add(&self, sku: &Sku, quantity: i32) -> Result<Self, CartError> {
        let mut cart = self.clone();
        let full = self.lines.len() >= MAX_LINES;
        match cart.line_mut(sku) {
            Some(line) if line.quantity + quantity > MAX_QUANTITY => return Err(CartError::LineFull(sku.clone())),
            Some(line) => line.quantity += quantity,
            None if full => return Err(CartError::CartFull),
            None => cart.append(sku.clone(), quantity),
        }
        Ok(cart)
    }

    /// With `quantity` (0 to [`MAX_QUANTITY`]) pieces in a line; 0 removes it, and is no error where it is removed already:
    /// done twice it is the same.
    ///
    /// # Errors
    /// There is no such line.
    pub fn update(&self, sku: &Sku, quantity: i32) -> Result<Self, CartError> {
        if quantity == 0 {
            return Ok(self.remove(sku));
        }
        let mut cart = self.clone();
        cart.line_mut(sku).ok_or_else(|| CartError::NotInCart(sku.clone()))?.quantity = quantity;
        Ok(cart)
    }

    /// Without a line. One that isn't there is no error.
    #[must_use]
    pub fn remove(&self, sku: &Sku) -> Self {
        Self { lines: self.lines.iter().filter(|line| line.sku != *sku).cloned().collect() }
    }

    /// With another cart's lines: pieces of a SKU are summed. What would be over a bound is left out.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let mut cart = self.clone();
        for line in &other.lines {
            let full = cart.lines.len() >= MAX_LINES;
            match cart.line_mut(&line.sku) {
                Some(mine) => mine.quantity = (mine.quantity + line.quantity).min(MAX_QUANTITY),
                None if full => {}
                None => cart.append(line.sku.clone(), line.quantity),
            }
        }
        cart
    }

    /// What must be written to make `before` this cart: the lines that are new or differ, and the SKUs that are gone.
    pub fn difference(&self, before: &Self) -> (Vec<Line>, Vec<Sku>) {
        let written = self.lines.iter().filter(|line| !before.lines.contains(line)).cloned().collect();
        let kept = |sku: &Sku| self.lines.iter().any(|line| line.sku == *sku);
        let gone = before.lines.iter().filter(|line| !kept(&line.sku)).map(|line| line.sku.clone()).collect();
        (written, gone)
    }

    fn line_mut(&mut self, sku: &Sku) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.sku == *sku)
    }

    /// Adds a line at the end. An emptied cart counts from 0 again, so positions stay far below the type's bound.
    fn append(&mut self, sku: Sku, quantity: i32) {
        let position = self.lines.last().map_or(0, |line| line.position.saturating_add(1));
        self.lines.push(Line { sku, quantity, position });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn sku(number: usize) -> Sku {
        Sku::parse(&format!("SKU-{number}")).unwrap()
    }

    /// A cart with up to 20 of 60 SKUs.
    fn carts() -> impl Strategy<Value = Cart> {
        prop::collection::btree_map(0..60_usize, 1..=MAX_QUANTITY, 0..20).prop_map(|lines| {
            lines.iter().fold(Cart::default(), |cart, (number, quantity)| cart.add(&sku(*number), *quantity).unwrap())
        })
    }

    #[derive(Clone, Debug)]
    enum Act {
        Add(usize, i32),
        Update(usize, i32),
        Remove(usize),
    }

    fn acts() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..60_usize, 1..=MAX_QUANTITY).prop_map(|(sku, quantity)| Act::Add(sku, quantity)),
            (0..60_usize, 0..=MAX_QUANTITY).prop_map(|(sku, quantity)| Act::Update(sku, quantity)),
            (0..60_usize).prop_map(Act::Remove),
        ]
    }

    fn done(cart: &Cart, act: &Act) -> Result<Cart, CartError> {
        match act {
            Act::Add(number, quantity) => cart.add(&sku(*number), *quantity),
            Act::Update(number, quantity) => cart.update(&sku(*number), *quantity),
            Act::Remove(number) => Ok(cart.remove(&sku(*number))),
        }
    }

    fn totals(cart: &Cart) -> BTreeMap<Sku, i32> {
        cart.lines().iter().map(|line| (line.sku.clone(), line.quantity)).collect()
    }

    fn content(cart: &Cart) -> Vec<(Sku, i32)> {
        cart.lines().iter().map(|line| (line.sku.clone(), line.quantity)).collect()
    }

    fn in_bounds(cart: &Cart) -> bool {
        cart.lines().len() <= MAX_LINES
            && cart.lines().iter().all(|line| (1..=MAX_QUANTITY).contains(&line.quantity))
            && cart.lines().is_sorted_by(|a, b| a.position < b.position)
            && totals(cart).len() == cart.lines().len()
    }

    #[test]
    fn bounds_are_refused_by_name() {
        let full = (0..MAX_LINES).fold(Cart::default(), |cart, number| cart.add(&sku(number), 99).unwrap());
        assert_eq!(full.add(&sku(0), 1), Err(CartError::LineFull(sku(0))));
        assert_eq!(full.add(&sku(50), 1), Err(CartError::CartFull));
        assert_eq!(full.update(&sku(50), 1), Err(CartError::NotInCart(sku(50))));
        assert_eq!(full.item_count(), 4_950);
    }

    #[test]
    fn skus_have_one_form() {
        for right in ["A", "HOX-INK-M", "A/B_1.2", &"X".repeat(64)] {
            assert!(Sku::parse(right).is_some(), "{right}");
        }
        for wrong in ["", "a", "A B", "Ä", "A\0", &"X".repeat(65)] {
            assert!(Sku::parse(wrong).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_done_the_bounds_hold_and_the_etag_tells_changes(acts in prop::collection::vec(acts(), 0..120)) {
            let mut cart = Cart::default();
            for act in acts {
                let Ok(next) = done(&cart, &act) else { continue };
                prop_assert!(in_bounds(&next));
                prop_assert_eq!(next.etag() != cart.etag(), content(&next) != content(&cart));
                cart = next;
            }
        }

        #[test]
        fn a_merge_is_bounded_and_its_totals_do_not_depend_on_the_side(mine in carts(), other in carts()) {
            let merged = mine.merge(&other);
            prop_assert!(in_bounds(&merged));
            prop_assert_eq!(totals(&merged), totals(&other.merge(&mine)));
            for line in merged.lines() {
                let of = |cart: &Cart| totals(cart).get(&line.sku).copied().unwrap_or(0);
                prop_assert_eq!(line.quantity, (of(&mine) + of(&other)).min(MAX_QUANTITY));
            }
        }

        #[test]
        fn what_does_not_fit_is_left_out_of_a_merge_and_nothing_of_mine(mine in 0..=MAX_LINES, other in 0..=MAX_LINES) {
            let filled = |from: usize, count: usize| {
                (from..from + count).fold(Cart::default(), |cart, number| cart.add(&sku(number), 1).unwrap())
            };
            let merged = filled(0, mine).merge(&filled(100, other));
            prop_assert_eq!(merged.lines().len(), (mine + other).min(MAX_LINES));
            prop_assert!((0..mine).all(|number| totals(&merged).contains_key(&sku(number))));
        }

        #[test]
        fn the_difference_makes_one_cart_of_the_other(before in carts(), after in carts()) {
            let (written, gone) = after.difference(&before);
            let mut lines: Vec<_> = before.lines().to_vec();
            lines.retain(|line| !gone.contains(&line.sku) && !written.iter().any(|new| new.sku == line.sku));
            lines.extend(written);
            prop_assert_eq!(Cart::of(lines), after);
        }
    }
}
