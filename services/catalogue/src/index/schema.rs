//! What is kept of a product in the index: a tantivy document.

use std::collections::HashMap;

use tantivy::schema::{FAST, Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions};
use tantivy::{TantivyDocument, Term};

use super::names::Names;
use crate::domain::card::{Card, CardVariant};
use crate::domain::fold::sort_key;
use crate::domain::hue;
use crate::domain::offer::{Offered, Wanted};
use crate::domain::product::{Audience, Picture};
use crate::domain::search::{Token, english, plain, tokens};
use crate::store::StoredProduct;

/// Names the layout: an index of another one is made anew. Also to be changed with the rules by which words are read.
pub(super) const LAYOUT: u32 = 1;

/// Where in a product a word stands, from what counts most to what counts least. A word is indexed where it counts most, so that
/// it is in one list of a product and its score needs no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Zone {
    Title,
    /// Category, tags, colours, sizes, pattern, audience.
    Kind,
    Material,
    Description,
}

impl Zone {
    pub(super) const ALL: [Self; 4] = [Self::Title, Self::Kind, Self::Material, Self::Description];
}

/// The fields of a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) slug: Field,
    /// Stems and meanings by [`Zone`].
    pub(super) zones: [Field; 4],
    /// Words as they are written, of all zones but the description.
    pub(super) forms: Field,
    pub(super) sku: Field,
    pub(super) head: Field,
    pub(super) sets: Field,
    pub(super) lowest: Field,
    pub(super) highest: Field,
    pub(super) created: Field,
    pub(super) title: Field,
    pub(super) offers: Field,
    pub(super) card: Field,
}

/// The pattern of what has none.
const PLAIN: &str = "plain";
/// The category in which what is drawn for want of a better word is what it looks like.
const T_SHIRTS: &str = "t-shirts";

pub(super) const SLUG: &str = "slug";
pub(super) const HEAD: &str = "head";
pub(super) const SETS: &str = "sets";
pub(super) const LOWEST: &str = "lowest";
pub(super) const HIGHEST: &str = "highest";
pub(super) const CREATED: &str = "created";
pub(super) const TITLE: &str = "title";
pub(super) const OFFERS: &str = "offers";

pub(super) fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    // Neither how often nor where: a word counts by its zone.
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("raw")
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::Basic);
    let words = TextOptions::default().set_indexing_options(indexing);
    let fields = Fields {
        slug: schema.add_text_field(SLUG, words.clone().set_fast("raw")),
        zones: ["in_title", "in_kind", "in_material", "in_description"]
            .map(|name| schema.add_text_field(name, words.clone())),
        forms: schema.add_text_field("forms", words.clone()),
        sku: schema.add_text_field("sku", words),
        head: schema.add_u64_field(HEAD, FAST),
        sets: schema.add_u64_field(SETS, FAST),
        lowest: schema.add_u64_field(LOWEST, FAST),
        highest: schema.add_u64_field(HIGHEST, FAST),
        created: schema.add_i64_field(CREATED, FAST),
        title: schema.add_text_field(TITLE, TextOptions::default().set_fast("raw")),
        offers: schema.add_u64_field(OFFERS, FAST),
        card: schema.add_bytes_field("card", STORED),
    };
    (schema.build(), fields)
}

/// Category, audience and stock in one number, since most listings look at all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head(pub(super) u32);

impl Head {
    /// The bits that are the category.
    pub(super) const CATEGORY: u32 = u32::MAX << 3;

    fn new(category: u32, audience: Audience, is_available: bool) -> Self {
        Self(Self::category_bits(category) | Self::audience_bits(audience) << 1 | u32::from(is_available))
    }

    pub(super) fn category_bits(category: u32) -> u32 {
        category << 3
    }

    pub(super) fn audience_bits(audience: Audience) -> u32 {
        match audience {
            Audience::Everyone => 0,
            Audience::Women => 1,
            Audience::Men => 2,
        }
    }

    pub(super) fn category(self) -> u32 {
        self.0 >> 3
    }

    pub(super) fn audience(self) -> u32 {
        self.0 >> 1 & 3
    }

    pub(super) fn is_available(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A variant in one number: 30 bits of price (up to 1,000,000,000), 16 of size, 17 of colour, one of stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedOffer(pub(super) u64);

impl PackedOffer {
    pub(super) fn new(price: i64, size: u32, colour: u32, is_available: bool) -> Self {
        let price = price.clamp(0, (1 << 30) - 1) as u64;
        Self(price << 34 | u64::from(size) << 18 | u64::from(colour) << 1 | u64::from(is_available))
    }

    pub(super) fn price(self) -> i64 {
        (self.0 >> 34) as i64
    }

    pub(super) fn size(self) -> u32 {
        (self.0 >> 18 & 0xffff) as u32
    }

    pub(super) fn colour(self) -> u32 {
        (self.0 >> 1 & 0x1_ffff) as u32
    }

    pub(super) fn is_available(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The sizes and colours that a product comes in, as numbers of sets.
pub(super) fn sets(sizes: u32, colours: u32) -> u64 {
    u64::from(sizes) << 32 | u64::from(colours)
}

/// The document of a product; `None` if nothing of it is sold.
pub(super) fn document(stored: &StoredProduct, fields: &Fields, names: &mut Names) -> Option<TantivyDocument> {
    let product = &stored.product;
    let card = card(stored);
    let offered = Wanted::ANY.among(card.variants.iter().map(CardVariant::offer))?;
    let mut document = TantivyDocument::default();
    document.add_text(fields.slug, &product.slug);
    document.add_text(fields.title, sort_key(&product.title));
    document.add_i64(fields.created, stored.created_at);
    add_numbers(&mut document, &card, product.audience, &offered, fields, names);
    let mut words = Words::default();
    words.read(&product.title, Zone::Title);
    words.read_kind(stored);
    words.read(&product.material, Zone::Material);
    words.read(&plain(&product.description_html), Zone::Description);
    for (word, zone) in words.stems {
        document.add_text(fields.zones[zone as usize], word);
    }
    for form in words.forms.into_keys() {
        document.add_text(fields.forms, form);
    }
    for variant in &product.variants {
        document.add_text(fields.sku, variant.sku.to_uppercase());
    }
    document.add_bytes(fields.card, &serde_json::to_vec(&card).expect("numbers and texts"));
    Some(document)
}

/// By which a product's document is found and removed.
pub(super) fn key(slug: &str, fields: &Fields) -> Term {
    Term::from_field_text(fields.slug, slug)
}

fn card(stored: &StoredProduct) -> Card {
    let product = &stored.product;
    let variants = product.variants.iter().zip(&stored.available).map(|(variant, available)| CardVariant {
        size: variant.size.clone(),
        colour: variant.colour.clone(),
        hex: variant.colour_hex.clone(),
        price: variant.price,
        compare_at: variant.compare_at,
        is_available: *available > 0,
    });
    Card {
        slug: product.slug.clone(),
        title: product.title.clone(),
        category: product.category.clone(),
        currency: stored.currency.clone(),
        image_url: product.image_urls.first().cloned().unwrap_or_default(),
        picture: product.picture.clone(),
        created_at: stored.created_at,
        variants: variants.collect(),
    }
}

fn add_numbers(
    document: &mut TantivyDocument,
    card: &Card,
    audience: Audience,
    offered: &Offered,
    fields: &Fields,
    names: &mut Names,
) {
    let numbers: Vec<_> = card
        .variants
        .iter()
        .map(|variant| (names.size(&variant.size), names.colour(&variant.colour, &variant.hex)))
        .collect();
    for (variant, (size, colour)) in card.variants.iter().zip(&numbers) {
        let offer = PackedOffer::new(variant.price, *size, *colour, variant.is_available);
        document.add_u64(fields.offers, offer.0);
    }
    let head = Head::new(names.category(&card.category), audience, offered.is_available);
    let size_set = names.size_set(numbers.iter().map(|(size, _)| *size));
    let colour_set = names.colour_set(numbers.iter().map(|(_, colour)| *colour));
    document.add_u64(fields.head, u64::from(head.0));
    document.add_u64(fields.sets, sets(size_set, colour_set));
    document.add_u64(fields.lowest, offered.lowest.unsigned_abs());
    document.add_u64(fields.highest, offered.highest.unsigned_abs());
}

/// How a meaning is told from a stem: no word has this sign.
pub(super) fn meaning_term(meaning: &str) -> String {
    format!("~{meaning}")
}

#[derive(Default)]
struct Words {
    stems: HashMap<String, Zone>,
    forms: HashMap<String, ()>,
}

impl Words {
    /// What a product is: its category, tags, colours by name and as people call them, sizes, pattern, and for whom it is.
    fn read_kind(&mut self, stored: &StoredProduct) {
        let product = &stored.product;
        let zone = Zone::Kind;
        self.read(&product.category, zone);
        product.tags.iter().for_each(|tag| self.read(tag, zone));
        for variant in &product.variants {
            self.read(&variant.size, zone);
            self.read(&variant.colour, zone);
            hue::words(&variant.colour_hex).iter().for_each(|word| self.read(word, zone));
        }
        // What is drawn says what the product is, unless it is drawn for want of a better word.
        let is_drawn_at_a_guess = product.picture.garment == Picture::FALLBACK && product.category != T_SHIRTS;
        if !is_drawn_at_a_guess {
            self.read(&product.picture.garment, Zone::Material);
        }
        if product.picture.pattern != PLAIN {
            self.read(&product.picture.pattern, zone);
        }
        match product.audience {
            Audience::Women => self.means("women", zone),
            Audience::Men => self.means("men", zone),
            // Whoever looks for women's or men's sees those first.
            Audience::Everyone => {
                ["women", "men", "everyone"].iter().for_each(|word| self.means(word, Zone::Description));
            }
        }
    }

    fn read(&mut self, text: &str, zone: Zone) {
        let mut before: Option<String> = None;
        for token in tokens(text) {
            match token {
                Token::Word(word) => before = Some(self.word(word, before.as_deref(), zone)),
                Token::Compound(parts) => {
                    self.word(parts.concat(), None, zone);
                    for part in parts {
                        before = Some(self.word(part, before.as_deref(), zone));
                    }
                }
                Token::Pair(pair) => {
                    self.note(pair, zone);
                    before = None;
                }
            }
        }
    }

    /// Notes a word and what it means, alone and with the stem before it; returns its stem.
    fn word(&mut self, word: String, before: Option<&str>, zone: Zone) -> String {
        let english = english();
        let stem = english.stem(&word);
        if let Some(meaning) = english.meaning(&stem) {
            self.means(meaning, zone);
        }
        if let Some(meaning) = before.and_then(|before| english.phrase(before, &stem)) {
            self.means(meaning, zone);
        }
        if zone != Zone::Description {
            self.forms.insert(word, ());
        }
        self.note(stem.clone(), zone);
        stem
    }

    fn means(&mut self, meaning: &str, zone: Zone) {
        self.note(meaning_term(meaning), zone);
    }

    fn note(&mut self, word: String, zone: Zone) {
        let best = self.stems.entry(word).or_insert(zone);
        *best = zone.min(*best);
    }
}
