//! A product as somebody wants it to be, checked before it is stored.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{hue, search};

/// Bounds, as the API promises them.
const MAX_TITLE: usize = 200;
const MAX_HTML: usize = 20_000;
pub(crate) const MAX_TAGS: usize = 40;
pub(crate) const MAX_IMAGES: usize = 20;
pub(crate) const MAX_VARIANTS: usize = 200;
/// A price that fits any garment: ten million of the main unit.
const MAX_PRICE: i64 = 1_000_000_000;

/// For whom a product is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Whoever likes it.
    #[default]
    Everyone,
    /// Women.
    Women,
    /// Men.
    Men,
}

impl Audience {
    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Everyone => "everyone",
            Self::Women => "women",
            Self::Men => "men",
        }
    }

    /// The audience that a stored word means.
    pub fn from_word(word: &str) -> Self {
        match word {
            "women" => Self::Women,
            "men" => Self::Men,
            _ => Self::Everyone,
        }
    }
}

/// What the shop draws for a product: words of its drawing vocabulary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// For example "shirt".
    pub garment: String,
    /// For example "relaxed".
    pub cut: String,
    /// For example "stripe".
    pub pattern: String,
    /// Six hexadecimal digits.
    pub accent: String,
}

impl Picture {
    /// What is drawn where nobody said what the product is.
    pub const FALLBACK: &str = "tshirt";
}

/// A product in one size and one colour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Stock-keeping unit.
    pub sku: String,
    /// For example "M".
    pub size: String,
    /// For example "Ink".
    pub colour: String,
    /// Six hexadecimal digits.
    pub colour_hex: String,
    /// Minor units.
    pub price: i64,
    /// The price before a reduction.
    #[serde(default)]
    pub compare_at: Option<i64>,
    /// Weight with its packing.
    #[serde(default)]
    pub grams: i32,
    /// Stock on hand when it is new; later it is the database's to know.
    #[serde(default)]
    pub stock: i32,
}

/// A product with its variants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its id.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// Sanitised; see [`Product::sanitise`].
    #[serde(default)]
    pub description_html: String,
    /// A category's slug.
    pub category: String,
    /// For whom it is.
    #[serde(default)]
    pub audience: Audience,
    /// Composition.
    #[serde(default)]
    pub material: String,
    /// How to wash it.
    #[serde(default)]
    pub care: String,
    /// Words that people search by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Photographs.
    #[serde(default)]
    pub image_urls: Vec<String>,
    /// What is drawn.
    #[serde(default)]
    pub picture: Picture,
    /// 1 to 200.
    pub variants: Vec<Variant>,
}

/// A wrong field of a product by its name in the API, for example `variants[2].price`, and what would be right, for people.
pub type WrongField = (String, String);

impl Product {
    /// Makes its description safe to show: a few formatting tags, no attributes, nothing else.
    pub fn sanitise(&mut self) {
        let tags = ["p", "br", "ul", "ol", "li", "strong", "em"].into();
        let mut cleaner = ammonia::Builder::empty();
        self.description_html = cleaner.tags(tags).clean(&self.description_html).to_string();
    }

    /// All fields that are wrong.
    pub fn check(&self) -> Vec<WrongField> {
        let mut wrong = Vec::new();
        let mut unless = |right: bool, field: &str, why: &str| {
            if !right {
                wrong.push((field.to_owned(), why.to_owned()));
            }
        };
        unless(is_slug(&self.slug), "slug", "must be 1 to 120 of a-z, 0-9 and single hyphens between them");
        unless(is_text(&self.title, 1, MAX_TITLE), "title", "must be 1 to 200 characters without control characters");
        unless(self.description_html.len() <= MAX_HTML, "description_html", "must be at most 20,000 bytes");
        unless(is_slug(&self.category), "category", "must be a category's slug");
        unless(is_text(&self.material, 0, 200), "material", "must be at most 200 characters");
        unless(is_text(&self.care, 0, 200), "care", "must be at most 200 characters");
        let tags = self.tags.len() <= MAX_TAGS && self.tags.iter().all(|tag| is_text(tag, 1, 60));
        unless(tags, "tags", "must be at most 40, each of 1 to 60 characters");
        let images = self.image_urls.len() <= MAX_IMAGES && self.image_urls.iter().all(|url| is_image_url(url));
        unless(images, "image_urls", "must be at most 20 addresses that begin with https://");
        let picture = &self.picture;
        let words = [&picture.garment, &picture.cut, &picture.pattern];
        unless(
            words.into_iter().all(|word| is_word(word)),
            "picture",
            "must be words of at most 20 lower-case letters",
        );
        unless(
            picture.accent.is_empty() || is_hex(&picture.accent),
            "picture.accent",
            "must be six hexadecimal digits",
        );
        unless((1..=MAX_VARIANTS).contains(&self.variants.len()), "variants", "must be 1 to 200");
        for (index, variant) in self.variants.iter().take(MAX_VARIANTS).enumerate() {
            let at = |field: &str| format!("variants[{index}].{field}");
            unless(is_sku(&variant.sku), &at("sku"), "must be 1 to 64 of A-Z, 0-9, '-', '.', '_' and '/'");
            unless(is_text(&variant.size, 1, 60), &at("size"), "must be 1 to 60 characters");
            unless(is_text(&variant.colour, 1, 60), &at("colour"), "must be 1 to 60 characters");
            unless(is_hex(&variant.colour_hex), &at("colour_hex"), "must be six hexadecimal digits in lower case");
            unless((0..=MAX_PRICE).contains(&variant.price), &at("price"), "must be 0 to 1,000,000,000 minor units");
            let reduced = variant.compare_at.is_none_or(|before| before > variant.price && before <= MAX_PRICE);
            unless(reduced, &at("compare_at_price"), "must be above the price");
            unless((0..=100_000).contains(&variant.grams), &at("grams"), "must be 0 to 100,000");
            unless((0..=1_000_000).contains(&variant.stock), &at("initial_stock"), "must be 0 to 1,000,000");
            let again = self.variants[..index].iter().any(|before| before.sku == variant.sku);
            unless(!again, &at("sku"), "is the SKU of a variant before");
        }
        wrong
    }

    /// What the product is, in a few bytes: equal for equal products. Stock counts only while a variant is new, so it
    /// is left out.
    pub fn fingerprint(&self) -> String {
        let mut content = self.clone();
        content.variants.iter_mut().for_each(|variant| variant.stock = 0);
        let bytes = serde_json::to_vec(&content).expect("strings and integers");
        Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The cheapest variant, which a listing shows.
    pub fn cheapest(&self) -> Option<&Variant> {
        self.variants.iter().min_by_key(|variant| variant.price)
    }

    /// Whether variants differ in price.
    pub fn price_varies(&self) -> bool {
        self.variants.windows(2).any(|pair| pair[0].price != pair[1].price)
    }

    /// Its colours (name and hexadecimal digits), in order.
    pub fn colours(&self) -> Vec<(String, String)> {
        let mut colours: Vec<(String, String)> = Vec::new();
        for variant in &self.variants {
            if colours.iter().all(|(name, _)| *name != variant.colour) {
                colours.push((variant.colour.clone(), variant.colour_hex.clone()));
            }
        }
        colours
    }

    /// What is indexed of it, from what counts most to what counts least: title, tags and kind, material, description.
    pub fn indexed(&self) -> [String; 4] {
        let colours = self.colours();
        let names = colours.iter().map(|(name, _)| name.as_str());
        let plainly = colours.iter().flat_map(|(_, hex)| hue::words(hex)).copied();
        let kind = [self.category.as_str(), &self.picture.garment].into_iter();
        let kind: Vec<_> = self.tags.iter().map(String::as_str).chain(kind).chain(names).chain(plainly).collect();
        let plain = ammonia::Builder::empty().clean(&self.description_html).to_string();
        [&self.title, &kind.join(" "), &self.material, &plain].map(|text| search::indexed(text))
    }
}

/// Lower-case letters, digits and single hyphens.
pub fn is_slug(text: &str) -> bool {
    let letters = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (1..=120).contains(&text.len()) && letters && !text.starts_with('-') && !text.ends_with('-') && !text.contains("--")
}

/// What a SKU is made of.
pub fn is_sku(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-._/".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(letter)
}

fn is_hex(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_word(text: &str) -> bool {
    text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

pub(crate) fn is_image_url(url: &str) -> bool {
    url.starts_with("https://")
        && url.len() <= 2048
        && !url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '"')
}

fn is_text(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shirt() -> Product {
        Product {
            slug: "harbour-shirt".into(),
            title: "Harbour Shirt".into(),
            category: "shirts".into(),
            variants: vec![
                Variant {
                    sku: "H-M".into(),
                    size: "M".into(),
                    colour: "Ink".into(),
                    colour_hex: "2f4b6e".into(),
                    price: 10,
                    ..Variant::default()
                },
                Variant {
                    sku: "H-L".into(),
                    size: "L".into(),
                    colour: "Oat".into(),
                    colour_hex: "e8dcc4".into(),
                    price: 9,
                    ..Variant::default()
                },
            ],
            ..Product::default()
        }
    }

    #[test]
    fn a_right_product_is_right_and_every_wrong_field_is_named() {
        assert_eq!(shirt().check(), []);
        let mut bad = shirt();
        bad.slug = "Harbour--shirt".into();
        bad.image_urls = vec!["http://plain".into()];
        bad.variants[1].sku = "H-M".into();
        bad.variants[0].compare_at = Some(10);
        let fields: Vec<_> = bad.check().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["slug", "image_urls", "variants[0].compare_at_price", "variants[1].sku"]);
    }

    #[test]
    fn descriptions_keep_their_paragraphs_and_nothing_that_acts() {
        let mut product = shirt();
        product.description_html =
            r#"<p onclick="x()">Soft <script>alert(1)</script><a href="javascript:x">link</a></p>"#.into();
        product.sanitise();
        assert_eq!(product.description_html, "<p>Soft link</p>");
    }

    #[test]
    fn its_fingerprint_is_of_what_it_is_and_not_of_its_stock() {
        let mut other = shirt();
        other.variants[0].stock = 7;
        assert_eq!(shirt().fingerprint(), other.fingerprint());
        other.variants[0].price = 11;
        assert_ne!(shirt().fingerprint(), other.fingerprint());
        assert_eq!((shirt().cheapest().unwrap().price, shirt().price_varies()), (9, true));
    }
}
