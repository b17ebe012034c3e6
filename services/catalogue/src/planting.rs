//! Planting the seed.

use selvage_pool::StoreError;

use crate::domain::product::{Audience, Picture, Product, Variant};
use crate::seed::{self, SeedProduct, categories, products};
use crate::store::Store;

const DAY_MS: i64 = 24 * 3600 * 1000;
/// Products in one transaction: some thousand variants, a few milliseconds of work.
const BATCH: usize = 100;

/// What became of planting products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// New ones.
    pub created: u64,
    /// Those that were there already, as they were planted or as somebody has changed them since.
    pub there: u64,
    /// Those that couldn't be planted: another product has a SKU of theirs.
    pub refused: u64,
}

impl Planted {
    /// How many products were looked at so far.
    pub fn done(&self) -> u64 {
        self.created + self.there + self.refused
    }
}

/// Plants the default products if there are none; returns how many. What was planted in part before goes on.
///
/// # Errors
/// [`StoreError::Database`]; what was planted until then is kept, and planting again goes on from there.
pub async fn plant_seed(store: &Store, now_ms: i64) -> Result<usize, StoreError> {
    let there = usize::try_from(store.product_count().await?).unwrap_or(usize::MAX);
    // More than the seed, or all of it: the shop has goods of its own. Less: either it is new, or was stopped in planting.
    let may_go_on = there > 0 && there < seed::count();
    if there > 0 && !(may_go_on && store.product_get(&products()[0].slug).await?.is_some()) {
        return Ok(0);
    }
    let planted = plant(store, seed::count(), now_ms, |_| ()).await?;
    Ok(usize::try_from(planted.created).unwrap_or(usize::MAX))
}

/// Plants the first `count` products of the seed, beside what else there is. Those that are there stay as they are, and so does
/// their stock. `observe` hears how far it is after each transaction.
///
/// # Errors
/// [`StoreError::Database`]; what was planted until then is kept, and planting again goes on from there.
pub async fn plant(
    store: &Store,
    count: usize,
    now_ms: i64,
    observe: impl Fn(&Planted),
) -> Result<Planted, StoreError> {
    let kinds: Vec<_> =
        categories().iter().map(|kind| (kind.slug.into(), kind.name.into(), kind.blurb.into())).collect();
    store.category_add(&kinds).await?;
    let mut planted = Planted::default();
    // Made as they are planted: of a million only a batch is in memory.
    let mut seeds = seed::first(count);
    loop {
        let mut batch: Vec<_> = seeds.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(planted);
        }
        let there = store.product_list_known(batch.iter().map(|seed| seed.slug.as_str())).await?;
        batch.retain(|seed| !there.contains(&seed.slug));
        planted.there += there.len() as u64;
        if !batch.is_empty() {
            let batch: Vec<_> = batch.into_iter().map(|seed| product(seed, now_ms)).collect();
            let stored = store.product_upsert(&batch).await?;
            planted.created += stored.created;
            // Somebody else has planted them since.
            planted.there += stored.updated + stored.unchanged;
            planted.refused += stored.refused.len() as u64;
        }
        observe(&planted);
    }
}

/// What is planted: the first `count` products, and when each came into the shop, in milliseconds since the Unix epoch.
pub fn planted_products(count: usize, now_ms: i64) -> impl Iterator<Item = (Product, i64)> {
    seed::first(count).map(move |seed| product(seed, now_ms))
}

/// The product, and when it came into the shop: no two at the same moment, so that the newest are in order.
fn product(seed: SeedProduct, now_ms: i64) -> (Product, i64) {
    let created_at = now_ms - i64::from(seed.days_ago) * DAY_MS;
    let mut product = Product {
        slug: seed.slug,
        title: seed.name,
        description_html: format!("<p>{}</p>", seed.description),
        category: seed.category.into(),
        audience: Audience::from_word(seed.audience),
        material: seed.material,
        care: seed.care,
        tags: seed.tags.into_iter().map(Into::into).collect(),
        image_urls: Vec::new(),
        picture: Picture {
            garment: seed.garment.into(),
            cut: seed.cut.into(),
            pattern: seed.pattern.into(),
            accent: seed.accent.into(),
        },
        variants: seed
            .variants
            .into_iter()
            .map(|variant| Variant {
                sku: variant.sku,
                size: variant.size,
                colour: variant.colour_name.into(),
                colour_hex: variant.colour_hex.into(),
                price: variant.price,
                compare_at: variant.compare_at,
                grams: i32::try_from(variant.grams).unwrap_or(i32::MAX),
                stock: i32::try_from(variant.stock).unwrap_or(i32::MAX),
            })
            .collect(),
    };
    product.sanitise();
    (product, created_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_a_product_that_we_would_take_from_anyone() {
        for seed in seed::first(5_000) {
            let (product, _) = product(seed, 0);
            assert_eq!(product.check(), [], "{}", product.slug);
        }
    }
}
