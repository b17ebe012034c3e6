use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use super::*;

const GARMENTS: &[&str] = &[
    "tshirt", "shirt", "blouse", "polo", "knit", "cardigan", "hoodie", "jacket", "blazer", "coat", "dress", "skirt",
    "trousers", "jeans", "shorts", "sneakers", "boots", "bag", "backpack", "scarf", "beanie", "cap", "belt", "socks",
];
const CUTS: &[&str] = &["regular", "relaxed", "slim", "cropped", "long"];
const PATTERNS: &[&str] =
    &["plain", "stripe", "check", "dot", "floral", "rib", "denim", "herringbone", "colourblock", "breton"];

fn is_hex(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// FNV-1a, 64 bits.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn there_are_twelve_categories_of_many_products() {
    let products = products();
    assert!((380..=420).contains(&products.len()), "{} products", products.len());
    let skus: usize = products.iter().map(|product| product.variants.len()).sum();
    assert!((3_600..=4_400).contains(&skus), "{skus} SKUs");
    let mut counts = BTreeMap::new();
    for product in &products {
        *counts.entry(product.category).or_insert(0) += 1;
    }
    assert_eq!(categories().len(), 12);
    for category in categories() {
        assert!((28..=40).contains(&counts[category.slug]), "{}: {}", category.slug, counts[category.slug]);
    }
}

#[test]
fn slugs_names_and_skus_are_unique_and_well_formed() {
    let products = products();
    let mut seen = HashSet::new();
    for product in &products {
        assert!(seen.insert(product.slug.clone()), "{}", product.slug);
        assert!(seen.insert(product.name.clone()), "{}", product.name);
        assert!(product.slug.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{}", product.slug);
        for variant in &product.variants {
            assert!(seen.insert(variant.sku.clone()), "{}", variant.sku);
            assert!((3..=40).contains(&variant.sku.len()), "{}", variant.sku);
            assert!(
                variant.sku.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-')),
                "{}",
                variant.sku
            );
        }
    }
}

#[test]
fn the_seed_never_changes_by_accident() {
    let mut text = String::new();
    write!(text, "{:?}{:?}", categories(), products()).expect("writing to a string succeeds");
    // A deliberate change of the texts or tables changes this number; nothing else may.
    assert_eq!(fingerprint(&text), 0x45bd_f79e_d79f_8d74);
    assert_eq!(products(), products());
    // Those behind them are told from new ones by their addresses when more are planted.
    let further: String = first(2_000).skip(count()).map(|product| format!("{product:?}")).collect();
    assert_eq!(fingerprint(&further), 0xb2ad_d793_bfc8_de65);
}

#[test]
fn every_product_can_be_drawn() {
    for product in products() {
        assert!(GARMENTS.contains(&product.garment), "{}: {}", product.slug, product.garment);
        assert!(CUTS.contains(&product.cut), "{}: {}", product.slug, product.cut);
        assert!(PATTERNS.contains(&product.pattern), "{}: {}", product.slug, product.pattern);
        assert!(is_hex(product.accent), "{}: {}", product.slug, product.accent);
        for variant in &product.variants {
            assert!(is_hex(variant.colour_hex), "{}", variant.colour_hex);
            assert_ne!(variant.colour_hex, product.accent, "{}", variant.sku);
        }
    }
}

#[test]
fn descriptions_are_two_or_three_different_texts() {
    let mut seen = HashSet::new();
    for product in products() {
        let length = product.description.chars().count();
        assert!((80..=600).contains(&length), "{}: {length}", product.slug);
        assert!(product.description.ends_with('.') && !product.description.contains("  "), "{}", product.description);
        assert!(seen.insert(product.description.clone()), "{}", product.description);
        assert!(!product.material.is_empty() && !product.care.is_empty());
        assert!(["women", "men", "everyone"].contains(&product.audience));
        assert!((1..=720).contains(&product.days_ago), "{}", product.days_ago);
    }
}

#[test]
fn prices_stock_and_weights_are_a_shops() {
    let products = products();
    let variants: Vec<_> = products.iter().flat_map(|product| &product.variants).collect();
    for variant in &variants {
        assert!((495..=50_000).contains(&variant.price), "{}: {}", variant.sku, variant.price);
        assert!(variant.price % 100 == 95 || variant.price % 1_000 == 900, "{}: {}", variant.sku, variant.price);
        assert!(variant.compare_at.is_none_or(|before| before > variant.price), "{variant:?}");
        assert!(variant.stock <= 60 && (30..=3_000).contains(&variant.grams), "{variant:?}");
    }
    let share = |count: usize| count * 100 / variants.len();
    assert!((2..=10).contains(&share(variants.iter().filter(|variant| variant.stock == 0).count())));
    let sales = products.iter().filter(|product| product.variants[0].compare_at.is_some()).count();
    assert!((40..=100).contains(&sales), "{sales} on sale");
}

#[test]
fn colours_of_a_product_differ_in_name_and_sku() {
    for product in products() {
        let colours: HashSet<_> = product.variants.iter().map(|variant| variant.colour_name).collect();
        let sizes: HashSet<_> = product.variants.iter().map(|variant| &variant.size).collect();
        assert!((1..=4).contains(&colours.len()), "{}", product.slug);
        assert_eq!(colours.len() * sizes.len(), product.variants.len(), "{}", product.slug);
    }
}

#[test]
fn many_more_products_are_as_sound_as_the_default_ones() {
    assert_eq!(count(), products().len());
    let mut seen = HashSet::new();
    let many: Vec<_> = first(20_000).collect();
    assert_eq!(many.len(), 20_000);
    assert_eq!(many[..count()], products());
    for product in &many {
        assert!(seen.insert(product.slug.clone()) && seen.insert(product.name.clone()), "{}", product.slug);
        assert!((80..=600).contains(&product.description.chars().count()), "{}", product.description);
        for variant in &product.variants {
            assert!(seen.insert(variant.sku.clone()) && (3..=40).contains(&variant.sku.len()), "{}", variant.sku);
            assert_ne!(variant.colour_hex, product.accent, "{}", variant.sku);
        }
    }
    let variants: usize = many.iter().map(|product| product.variants.len()).sum();
    assert!((9 * many.len()..12 * many.len()).contains(&variants), "{variants} variants");
    let mut counts = BTreeMap::new();
    for product in &many {
        *counts.entry(product.category).or_insert(0) += 1;
    }
    assert!(counts.len() == 12 && counts.values().all(|count| *count > many.len() / 24), "{counts:?}");
}
