//! A product's page.

use selvage_proto::catalogue::v1::{Product, Variant};

use super::html;
use super::missing::Missing;
use super::money::{self, Reduction};
use super::picture::{Picture, fill};
use crate::fields::encode;

/// A size with this many pieces left or fewer says how many.
const FEW: i32 = 3;
/// Photographs shown beside the first.
const MAX_PHOTOS: usize = 4;

/// A colour that can be chosen, by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColourChoice {
    /// Its name.
    pub name: String,
    /// As SVG takes it.
    pub fill: String,
    /// The product in this colour.
    pub href: String,
    /// What it looks like.
    pub picture: Picture,
    /// Whether it is the one shown.
    pub selected: bool,
    /// Whether no size of it can be bought.
    pub sold_out: bool,
}

/// A size that can be chosen, by a radio button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeChoice {
    /// What is put into the bag.
    pub sku: String,
    /// Its name.
    pub size: String,
    /// Its price, where sizes differ; else empty.
    pub price: String,
    /// "Sold out", "2 left"; empty if there is nothing to say.
    pub note: String,
    /// Whether it can't be bought.
    pub sold_out: bool,
    /// Whether it is chosen already: it is the only one.
    pub selected: bool,
}

/// What the page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductView {
    /// As it stands in addresses.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// Its category's slug.
    pub category: String,
    /// Clean HTML.
    pub description: String,
    /// Composition.
    pub material: String,
    /// How to wash it.
    pub care: String,
    /// All colours.
    pub colours: Vec<ColourChoice>,
    /// The colour shown.
    pub colour: String,
    /// The sizes of that colour.
    pub sizes: Vec<SizeChoice>,
    /// The lowest price of that colour; empty for a product without variants.
    pub price: String,
    /// What that price is reduced from.
    pub reduction: Option<Reduction>,
    /// Whether sizes differ in price.
    pub price_varies: bool,
    /// Whether any size of the colour can be bought.
    pub in_stock: bool,
    /// What it looks like.
    pub picture: Picture,
    /// More photographs, https addresses.
    pub photos: Vec<String>,
}

impl ProductView {
    /// The page of `product` in the colour `wanted`, or else in the first that can be bought.
    ///
    /// # Errors
    /// [`Missing`] if a variant of that colour has no price.
    pub fn new(product: &Product, wanted: &str) -> Result<Self, Missing> {
        let mut names: Vec<&str> = Vec::new();
        for variant in &product.variants {
            if !names.contains(&variant.colour.as_str()) {
                names.push(&variant.colour);
            }
        }
        let of = |name: &str| -> Vec<&Variant> { product.variants.iter().filter(|v| v.colour == name).collect() };
        let can_be_bought = |name: &str| of(name).iter().any(|variant| variant.available > 0);
        let asked = names.iter().find(|name| **name == wanted);
        let first = asked.or_else(|| names.iter().find(|name| can_be_bought(name))).or(names.first());
        let colour = first.copied().unwrap_or_default();

        let variants = of(colour)
            .into_iter()
            .map(|variant| Ok((variant, money::given(variant.price.as_ref(), "Variant.price")?)))
            .collect::<Result<Vec<_>, Missing>>()?;
        let cheapest = variants.iter().min_by_key(|(_, price)| price.minor_units).copied();
        let lowest = cheapest.map(|(_, price)| price.minor_units);
        let price_varies = variants.iter().any(|(_, price)| Some(price.minor_units) != lowest);
        let hex = |name: &str| of(name).first().map(|variant| variant.colour_hex.clone()).unwrap_or_default();
        let picture = |name: &str, photo: &str| {
            let alt = if name.is_empty() { product.title.clone() } else { format!("{}, {name}", product.title) };
            Picture::new(product.picture.as_ref(), &hex(name), photo, alt)
        };
        let photos: Vec<_> = product.image_urls.iter().filter(|url| url.starts_with("https://")).collect();

        let colours = names.iter().map(|name| ColourChoice {
            name: (*name).to_owned(),
            fill: fill(&hex(name)),
            href: format!("/p/{}?{}", product.slug, encode([("colour", *name)])),
            picture: picture(name, ""),
            selected: *name == colour,
            sold_out: !can_be_bought(name),
        });
        let sizes = variants.iter().map(|(variant, price)| SizeChoice {
            sku: variant.sku.clone(),
            size: variant.size.clone(),
            price: if price_varies { money::of(price) } else { String::new() },
            note: match variant.available {
                ..=0 => "Sold out".to_owned(),
                few @ 1..=FEW => format!("{few} left"),
                _ => String::new(),
            },
            sold_out: variant.available <= 0,
            selected: variants.len() == 1 && variant.available > 0,
        });
        Ok(Self {
            slug: product.slug.clone(),
            title: product.title.clone(),
            category: product.category.clone(),
            description: html::description(&product.description_html),
            material: product.material.clone(),
            care: product.care.clone(),
            colours: colours.collect(),
            colour: colour.to_owned(),
            sizes: sizes.collect(),
            price: cheapest.map(|(_, price)| money::of(price)).unwrap_or_default(),
            reduction: cheapest.and_then(|(v, price)| Reduction::new(price, v.compare_at_price.as_ref())),
            price_varies,
            in_stock: can_be_bought(colour),
            picture: picture(colour, photos.first().map_or("", |url| url.as_str())),
            photos: photos.into_iter().skip(1).take(MAX_PHOTOS).cloned().collect(),
        })
    }

    /// The address of the product as it is shown.
    pub fn href(&self) -> String {
        format!("/p/{}?{}", self.slug, encode([("colour", self.colour.as_str())]))
    }
}

#[cfg(test)]
mod tests {
    use selvage_proto::money::v1::Money;

    use super::*;

    fn variant(sku: &str, size: &str, colour: &str, price: i64, available: i32) -> Variant {
        Variant {
            sku: sku.into(),
            size: size.into(),
            colour: colour.into(),
            colour_hex: "2f4b6e".into(),
            price: Some(Money { currency: "EUR".into(), minor_units: price }),
            available,
            ..Variant::default()
        }
    }

    fn shirt() -> Product {
        Product {
            slug: "shirt".into(),
            title: "Oxford shirt".into(),
            variants: vec![
                variant("A", "M", "Ink", 6000, 0),
                variant("B", "M", "Sky", 6000, 2),
                variant("C", "L", "Sky", 6500, 9),
            ],
            image_urls: vec!["http://x/a.jpg".into(), "https://x/b.jpg".into(), "https://x/c.jpg".into()],
            ..Product::default()
        }
    }

    #[test]
    fn the_first_colour_that_can_be_bought_is_shown_unless_one_is_asked_for() {
        let view = ProductView::new(&shirt(), "").unwrap();
        assert_eq!((view.colour.as_str(), view.in_stock), ("Sky", true));
        let view = ProductView::new(&shirt(), "Ink").unwrap();
        assert_eq!((view.colour.as_str(), view.in_stock, view.sizes[0].note.as_str()), ("Ink", false, "Sold out"));
        assert!(view.colours[0].sold_out && !view.colours[1].sold_out);
        assert_eq!(ProductView::new(&shirt(), "Pink").unwrap().colour, "Sky");
    }

    #[test]
    fn prices_and_scarcity_are_said_where_they_differ() {
        let view = ProductView::new(&shirt(), "Sky").unwrap();
        assert_eq!((view.price.as_str(), view.price_varies), ("€60.00", true));
        assert_eq!((view.sizes[0].note.as_str(), view.sizes[1].price.as_str()), ("2 left", "€65.00"));
        assert_eq!((view.picture.photo.as_str(), view.photos.len()), ("https://x/b.jpg", 1));
    }

    #[test]
    fn a_product_without_variants_is_sold_out_rather_than_a_panic() {
        let view = ProductView::new(&Product::default(), "Ink").unwrap();
        assert!(!view.in_stock && view.sizes.is_empty());
    }

    #[test]
    fn a_variant_without_a_price_is_named_and_costs_not_0() {
        let mut product = shirt();
        product.variants[1].price = None;
        assert_eq!(ProductView::new(&product, "Sky"), Err(Missing("Variant.price")));
    }
}
