//! What both readers do with a product that they have read.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::{Found, ImportError, Item, MAX_PRODUCTS, Problem};
use crate::domain::product::Product;

/// The products of a feed so far, by a digest of their slugs.
#[derive(Default)]
pub(super) struct Seen(HashSet<[u8; 16]>);

impl Seen {
    /// Adds a slug; `false` if it was there.
    pub(super) fn add(&mut self, slug: &str) -> Result<bool, ImportError> {
        if self.0.len() == MAX_PRODUCTS {
            return Err(ImportError::TooMany);
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(slug.as_bytes())[..16]);
        Ok(self.0.insert(digest))
    }
}

/// Makes a product safe to show and checks it as the API would. `line_of` knows where a variant, or else the product,
/// stands in the feed; `name_of` how the feed calls a field.
pub(super) fn finish(
    mut product: Product,
    category_title: String,
    line_of: impl Fn(Option<usize>) -> u64,
    name_of: impl Fn(&str) -> &str,
) -> Item {
    product.sanitise();
    let line = line_of(None);
    let Some((field, reason)) = product.check().into_iter().next() else {
        return Item::Product(Box::new(Found { line, product, category_title }));
    };
    let variant = field.strip_prefix("variants[").and_then(|rest| rest.split(']').next()?.parse().ok());
    Item::Failed(Problem::new(line_of(variant), name_of(&field), reason))
}
