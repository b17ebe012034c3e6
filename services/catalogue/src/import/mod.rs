//! Importing products from a feed: Shopify's product CSV, or JSON Lines.
//!
//! A feed is read as a stream, in a thread of its own, and written in batches, each in one transaction. A row that is
//! wrong is reported with its line, field and reason, and left out; the good ones are kept. Importing the same feed
//! again changes nothing: a product is written only if its content or currency differs from what is stored, and a known
//! variant's stock is never touched, for by then it is the shop's own count. A variant that its product in the feed no
//! longer has, or only in a row that is wrong, is withdrawn: not sold, until a feed has it again. A product that the feed
//! doesn't have stays as it is.
//!
//! # Shopify's product CSV
//!
//! One row a variant. The first row of a handle carries the product's fields, later ones leave them empty; a row may
//! only add an image. Columns come in any order, under the names of the classic or of the newer template; unknown ones
//! are ignored. A handle's rows usually stand together; they may be apart by up to 512 products. What is drawn, and a
//! category where the feed names none of ours, is derived from type, tags and title.
//!
//! Products that the feed hides (`Published` false, `Status` draft or archived) are left out and counted. A variant
//! without a SKU gets one made of its handle and options. A variant whose stock the feed doesn't track, and gives no
//! quantity for, gets 100 pieces. Beyond the bounds of the API the first 20 images and 40 tags are kept.
//!
//! # JSON Lines
//!
//! One product a line, with the names of `selvage.catalogue.v1.Product` in snake case:
//!
//! ```json
//! {"slug": "harbour-shirt", "title": "Harbour Shirt", "description_html": "<p>Soft.</p>", "category": "shirts",
//!  "audience": "everyone", "material": "100 % cotton", "care": "Wash at 30 °C", "tags": ["linen"],
//!  "image_urls": ["https://example.com/a.jpg"],
//!  "picture": {"garment": "shirt", "cut": "relaxed", "pattern": "stripe", "accent": "f2ede4"},
//!  "variants": [{"sku": "HARBOUR-M", "size": "M", "colour": "Ink", "colour_hex": "26324a", "grams": 250,
//!                "price": {"currency": "EUR", "minor_units": 4995}, "initial_stock": 12}]}
//! ```
//!
//! (on one line). `slug`, `title` and `variants` with `sku` and `price` are required. `audience` is `everyone`, `women`
//! or `men`, or the enum's own name; 64-bit numbers may be strings, as in protobuf's JSON. A missing `category`,
//! `picture`, `size`, `colour` or `colour_hex` is derived as for a CSV. Output-only and unknown fields are ignored.

mod derive;
mod finish;
mod format;
mod json_lines;
mod name;
mod price;
mod run;
mod shopify;
mod words;

use std::io::{self, BufRead};
use std::ops::ControlFlow;

use selvage_pool::StoreError;

pub use format::Format;
pub use run::run;

use crate::domain::product::Product;

/// The longest field that is taken. The longest that the API takes is 20,000 characters.
const MAX_FIELD: usize = 64 * 1024;
/// The longest row or line: a row of fifty fields of which most are short, or a product of 200 variants at 300 bytes,
/// with room to spare. It is what bounds the reader's memory when a quotation mark is missing.
const MAX_ROW: usize = 1024 * 1024;
/// The most products in a feed: each takes 16 bytes of memory, so that a second one with its name is noticed.
const MAX_PRODUCTS: usize = 1_000_000;

/// Something wrong in a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where its row begins, from 1.
    pub line: u64,
    /// The column or field as the feed calls it; empty if it is the row as a whole.
    pub field: String,
    /// What is wrong, for a person.
    pub reason: String,
}

impl Problem {
    fn new(line: u64, field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { line, field: field.into(), reason: reason.into() }
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the feed that were read.
    pub bytes: u64,
    /// What was done.
    pub report: Report,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows or lines of the feed, without the heading.
    pub rows: u64,
    /// New products.
    pub created: u64,
    /// Products that were different.
    pub updated: u64,
    /// Products that were there already.
    pub unchanged: u64,
    /// Products that were left out because something is wrong with them.
    pub failed: u64,
    /// Products that the feed itself hides.
    pub hidden: u64,
    /// How many problems were told of, those of single rows included.
    pub problems: u64,
}

/// What an import tells while it runs, in order.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Something is wrong in the feed; the import goes on.
    Problem(&'a Problem),
    /// A batch was written.
    Progress(Progress),
}

/// Why an import stopped. What was written until then is kept, and importing again goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The feed can't be read.
    #[error("the feed can't be read")]
    Read(#[from] io::Error),
    /// The first row isn't the heading of a product feed.
    #[error("the feed's first row must name its columns; there is none called {0}")]
    Heading(&'static str),
    /// A row without an end; what comes after it can't be told apart.
    #[error("the row that begins on line {0} is longer than 1 MiB; is a quotation mark missing?")]
    Endless(u64),
    /// More than a million products.
    #[error("the feed has more than 1,000,000 products; cut it into several")]
    TooMany,
    /// The database failed; importing again once it is well goes on from there.
    #[error("the catalogue can't be written")]
    Store(#[from] StoreError),
}

/// What a feed's reader finds, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A row or line was read.
    Row,
    /// A product that can be kept.
    Product(Box<Found>),
    /// A row that is left out, or a part of it; its product may come yet.
    Problem(Problem),
    /// A product that is left out, and why.
    Failed(Problem),
    /// A product that the feed hides.
    Hidden,
}

/// A product of a feed, checked and safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it begins, from 1.
    pub line: u64,
    /// It.
    pub product: Product,
    /// What its category is called, should the shop not have it yet.
    pub category_title: String,
}

/// Reads a feed and hands over what is found in it until `take` breaks off. Prices are in `currency`. Pure but for
/// `feed`; memory is bounded whatever the feed.
///
/// # Errors
/// If the feed can't be read to its end.
pub fn parse(
    feed: impl BufRead + Send,
    format: Format,
    currency: &str,
    take: &mut dyn FnMut(Item) -> ControlFlow<()>,
) -> Result<(), ImportError> {
    match format {
        Format::ShopifyCsv => shopify::parse(feed, currency, take),
        Format::JsonLines => json_lines::parse(feed, currency, take),
    }
}
