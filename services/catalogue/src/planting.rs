//! Planting the default seed.

use selvage_pool::StoreError;

use crate::domain::product::{Audience, Picture, Product, Variant};
use crate::seed::{SeedProduct, categories, products};
use crate::store::Store;

const DAY_MS: i64 = 24 * 3600 * 1000;
/// Products in one transaction: some thousand variants, a few milliseconds of work.
const BATCH: usize = 100;

/// Plants the default products if there are none; returns how many. What was planted in part before goes on.
///
/// # Errors
/// [`StoreError::Database`]; what was planted until then is kept, and planting again goes on from there.
pub async fn plant_seed(store: &Store, now_ms: i64) -> Result<usize, StoreError> {
    let seeds = products();
    let there = usize::try_from(store.product_count().await?).unwrap_or(usize::MAX);
    // More than the seed, or all of it: the shop has goods of its own. Less: either it is new, or was stopped in planting.
    let began = there == 0 || (there < seeds.len() && store.product_get(&seeds[0].slug).await?.is_some());
    if !began {
        return Ok(0);
    }
    let kinds: Vec<_> =
        categories().iter().map(|kind| (kind.slug.into(), kind.name.into(), kind.blurb.into())).collect();
    store.category_add(&kinds).await?;
    let mut planted = 0;
    let seeds: Vec<_> = seeds.into_iter().map(|seed| product(seed, now_ms)).collect();
    for batch in seeds.chunks(BATCH) {
        planted += usize::try_from(store.product_upsert(batch).await?.created).unwrap_or_default();
    }
    Ok(planted)
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
        for seed in products() {
            let (product, _) = product(seed, 0);
            assert_eq!(product.check(), [], "{}", product.slug);
        }
    }
}
