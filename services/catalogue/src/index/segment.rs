//! A part of the index as pages read it.

use std::collections::HashMap;
use std::sync::Arc;

use tantivy::columnar::{Column, StrColumn, TermOrdHit};
use tantivy::index::SegmentId;
use tantivy::{Searcher, SegmentReader, TantivyError};

use super::schema::{CREATED, HEAD, HIGHEST, Head, LOWEST, OFFERS, PackedOffer, SETS, SLUG, TITLE};
use crate::domain::offer::Offered;

/// Products that are looked at together: those that a page has to look at are gathered first, and only then looked at.
const BLOCK: usize = 128;
/// Offers that are read together: most products have fewer.
const OFFERS_READ: usize = 32;

/// What a page reads of a product that may fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Milliseconds since the Unix epoch.
    pub(super) created: i64,
    /// The number of the set of its sizes.
    pub(super) sizes: u32,
    /// The number of the set of its colours.
    pub(super) colours: u32,
    lowest: u32,
    highest: u32,
    /// The place of its slug among those of the segment.
    pub(super) slug: u32,
    /// The place of its title.
    pub(super) title: u32,
}

/// A product that may fit.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    /// Its number in the segment, from 0 on.
    pub(super) product: u32,
    pub(super) head: Head,
    pub(super) row: &'a Row,
}

impl Candidate<'_> {
    /// What is offered to somebody who wants nothing in particular.
    pub(super) fn offered(&self) -> Offered {
        Offered {
            lowest: i64::from(self.row.lowest),
            highest: i64::from(self.row.highest),
            is_available: self.head.is_available(),
        }
    }
}

/// What pages read of a segment's products beside their words and cards. It never changes, though products may come to be deleted.
///
/// It is kept unpacked, 36 bytes for each product: a page looks at all of them, and unpacking a column takes some nanoseconds
/// a value, which was nine tenths of a page's time. The heads lie apart since most products need nothing more looked at.
pub(super) struct Rows {
    segment: SegmentId,
    heads: Vec<Head>,
    rows: Vec<Row>,
    offers: Column<u64>,
    pub(super) slugs: Texts,
    pub(super) titles: Texts,
}

impl Rows {
    /// Those of each of a searcher's segments; what `known` has of them is taken from there.
    ///
    /// # Errors
    /// If the index can't be read.
    pub(super) fn of(searcher: &Searcher, known: &[Arc<Self>]) -> tantivy::Result<Vec<Arc<Self>>> {
        let known: HashMap<_, _> = known.iter().map(|rows| (rows.segment, rows)).collect();
        let readers = searcher.segment_readers().iter();
        readers
            .map(|reader| match known.get(&reader.segment_id()) {
                Some(rows) => Ok(Arc::clone(rows)),
                None => Self::read(reader).map(Arc::new),
            })
            .collect()
    }

    fn read(reader: &SegmentReader) -> tantivy::Result<Self> {
        let columns = reader.fast_fields();
        let numbers = |name| columns.column_first_or_default::<u64>(name);
        let (heads, sets, lowest, highest) = (numbers(HEAD)?, numbers(SETS)?, numbers(LOWEST)?, numbers(HIGHEST)?);
        let created = columns.column_first_or_default::<i64>(CREATED)?;
        let (slugs, titles) = (Texts::open(reader, SLUG)?, Texts::open(reader, TITLE)?);
        let (slug_places, title_places) = (slugs.places(), titles.places());
        let row = |product| {
            let sets = sets.get_val(product);
            Row {
                created: created.get_val(product),
                sizes: (sets >> 32) as u32,
                colours: sets as u32,
                lowest: lowest.get_val(product) as u32,
                highest: highest.get_val(product) as u32,
                slug: slug_places.get_val(product) as u32,
                title: title_places.get_val(product) as u32,
            }
        };
        let products = 0..reader.max_doc();
        Ok(Self {
            segment: reader.segment_id(),
            heads: products.clone().map(|product| Head(heads.get_val(product) as u32)).collect(),
            rows: products.map(row).collect(),
            offers: columns.u64(OFFERS)?,
            slugs,
            titles,
        })
    }

    /// What is offered of a product.
    pub(super) fn offers(&self, product: u32) -> impl Iterator<Item = PackedOffer> {
        let places = self.offers.index.value_row_ids(product);
        places.clone().step_by(OFFERS_READ).flat_map(move |first| {
            let mut read = [0; OFFERS_READ];
            let count = OFFERS_READ.min((places.end - first) as usize);
            self.offers.values.get_range(u64::from(first), &mut read[..count]);
            read.into_iter().take(count).map(PackedOffer)
        })
    }
}

/// A column of texts, which are numbered in their order.
pub(super) struct Texts(StrColumn);

impl Texts {
    fn open(reader: &SegmentReader, name: &str) -> tantivy::Result<Self> {
        let column = reader.fast_fields().str(name)?;
        column.map(Self).ok_or_else(|| TantivyError::FieldNotFound(name.to_owned()))
    }

    /// Each product's text's place among them.
    fn places(&self) -> Arc<dyn tantivy::columnar::ColumnValues<u64>> {
        self.0.ords().clone().first_or_default_col(0)
    }

    /// The text at a place.
    pub(super) fn text(&self, place: u32) -> tantivy::Result<String> {
        let mut text = String::new();
        self.0.ord_to_str(u64::from(place), &mut text)?;
        Ok(text)
    }

    /// The place of `text`, and of the first one that is larger.
    pub(super) fn around(&self, text: &str) -> tantivy::Result<(Option<u32>, u32)> {
        Ok(match self.0.dictionary().term_ord_or_next(text)? {
            TermOrdHit::Exact(place) => (Some(place as u32), place as u32 + 1),
            TermOrdHit::Next(place) => (None, place as u32),
        })
    }
}

/// A segment as it is at one moment.
pub(super) struct Segment<'a> {
    reader: &'a SegmentReader,
    rows: &'a Rows,
}

impl<'a> Segment<'a> {
    pub(super) fn new(reader: &'a SegmentReader, rows: &'a Rows) -> Self {
        Self { reader, rows }
    }

    /// Shows `each` the products that are still there and that `is_wanted` wants, some at a time.
    pub(super) fn blocks(&self, is_wanted: impl Fn(usize, Head) -> bool, mut each: impl FnMut(&[u32])) {
        let alive = self.reader.alive_bitset();
        let mut block = [0; BLOCK];
        for (heads, first) in self.rows.heads.chunks(BLOCK).zip((0_u32..).step_by(BLOCK)) {
            let mut count = 0;
            for (product, head) in (first..).zip(heads) {
                // Without a branch: whether the next one is wanted can't be foretold.
                block[count] = product;
                let is_alive = alive.is_none_or(|alive| alive.is_alive(product));
                count += usize::from(is_alive & is_wanted(product as usize, *head));
            }
            if count > 0 {
                each(&block[..count]);
            }
        }
    }

    /// One of them.
    pub(super) fn candidate(&self, product: u32) -> Candidate<'_> {
        let at = product as usize;
        Candidate { product, head: self.rows.heads[at], row: &self.rows.rows[at] }
    }

    /// The first product for which `find` finds something.
    pub(super) fn find<T>(&self, mut find: impl FnMut(usize, Head) -> Option<T>) -> Option<T> {
        let alive = self.reader.alive_bitset();
        let mut products = (0_u32..).zip(&self.rows.heads);
        products.find_map(|(product, head)| {
            let found = find(product as usize, *head)?;
            alive.is_none_or(|alive| alive.is_alive(product)).then_some(found)
        })
    }
}

impl std::ops::Deref for Segment<'_> {
    type Target = Rows;

    fn deref(&self) -> &Rows {
        self.rows
    }
}
