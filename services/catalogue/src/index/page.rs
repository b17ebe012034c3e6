//! A page of a listing or search: which products fit, how many, by what they can be narrowed, and which come first.

use std::sync::Arc;

use tantivy::schema::Value as _;
use tantivy::{DocAddress, Searcher, TantivyDocument, TantivyError};

use super::facets::Counts;
use super::names::{Name, Names, Set};
use super::schema::{Fields, Head};
use super::segment::{Candidate, Row, Rows, Segment};
use super::top::{Place, Top};
use super::words::{self, Lists, Scores};
use crate::domain::card::{Card, Summary};
use crate::domain::fold::fold;
use crate::domain::listing::{Cursor, Facets, Filter, Listing, Order};
use crate::domain::offer::{Offer, Offered, Wanted};
use crate::domain::product::Audience;

/// What is found.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Its products.
    pub products: Vec<Summary>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
    /// How many products there are on all pages.
    pub total: u64,
    /// What it can be narrowed by, if that was asked for.
    pub facets: Option<Facets>,
    /// Words of the query that the products needn't have, for nothing has all of them.
    pub left_out: Vec<String>,
    /// The query with the words that were looked for instead of those that nothing has, if there are such.
    pub corrected: Option<String>,
}

/// An index as it is at one moment.
pub(super) struct Moment<'a> {
    pub(super) searcher: &'a Searcher,
    /// Of each segment.
    pub(super) rows: &'a [Arc<Rows>],
    pub(super) fields: &'a Fields,
    pub(super) names: &'a Names,
}

impl Moment<'_> {
    /// # Errors
    /// If the index can't be read.
    pub(super) fn page(&self, listing: &Listing) -> tantivy::Result<Page> {
        let words = listing.query.as_ref().map(|query| words::lists(query, self.searcher, self.fields)).transpose()?;
        let mut parts = Vec::new();
        for (reader, rows) in self.searcher.segment_readers().iter().zip(self.rows) {
            let scores = words.as_ref().map(|words| Scores::of(words, reader)).transpose()?;
            parts.push((Segment::new(reader, rows), scores));
        }
        let fits = Fits::new(&listing.filter, self.names);
        let wanted_words = match (&words, &listing.after) {
            (None, _) => 0,
            (Some(_), Some(Cursor::Match { words, .. })) => *words,
            (Some(words), _) => best_words(words, &parts, &fits),
        };
        let mut page = Page::default();
        if let Some(words) = &words {
            if wanted_words == 0 {
                return Ok(Page { left_out: words.iter().map(|word| word.typed.clone()).collect(), ..page });
            }
            page.say_of_words(words, wanted_words);
        }
        let mut counts = listing.with_facets.then(|| Counts::new(self.names));
        let mut tops = Vec::new();
        for (part, scores) in &parts {
            let order = Ordered::new(listing, part)?;
            let mut top = Top::new(listing.size as usize + 1);
            let is_wanted = |product: usize, head: Head| {
                let has_words =
                    scores.as_ref().is_none_or(|scores| scores.found[product] & wanted_words == wanted_words);
                has_words & fits.head(head)
            };
            part.blocks(is_wanted, |products| {
                if let Some(counts) = &mut counts {
                    products.iter().for_each(|product| counts.add(&part.candidate(*product)));
                }
                for product in products {
                    let candidate = part.candidate(*product);
                    let Some(offered) = fits.offered(part, &candidate) else { continue };
                    page.total += 1;
                    let Candidate { product, row, .. } = candidate;
                    let score = scores.as_ref().map_or(0, |scores| scores.totals[product as usize]);
                    let rank = order.rank(row, &offered, score);
                    if top.may_take(rank) && order.is_behind(rank, row.slug) {
                        top.take(Place { rank, slug: row.slug, product });
                    }
                }
            });
            tops.push(top.first());
        }
        page.facets = counts.map(|counts| counts.facets(self.names));
        self.fill(&mut page, listing, &parts, tops, wanted_words)?;
        Ok(page)
    }

    /// Takes the first of all segments' first ones.
    fn fill(
        &self,
        page: &mut Page,
        listing: &Listing,
        parts: &[(Segment<'_>, Option<Scores>)],
        tops: Vec<Vec<Place>>,
        words: u8,
    ) -> tantivy::Result<()> {
        let size = listing.size as usize;
        let mut places: Vec<_> = tops
            .into_iter()
            .enumerate()
            .flat_map(|(part, top)| top.into_iter().map(move |place| (place, part)))
            .collect();
        let title = |(place, part): &(Place, usize)| parts[*part].0.titles.text(place.rank as u32);
        let slug = |(place, part): &(Place, usize)| parts[*part].0.slugs.text(place.slug);
        if parts.len() > 1 {
            let is_by_title = listing.order == Order::Title;
            if !is_by_title {
                places.sort_by_key(|(place, _)| place.rank);
                // Only those that may be among the first need be told apart by their slugs.
                let last = places.get(size).map_or(u64::MAX, |(place, _)| place.rank);
                places.retain(|(place, _)| place.rank <= last);
            }
            // Titles' and slugs' places are among those of a segment.
            let key = |place: &(Place, usize)| -> tantivy::Result<_> {
                let title = is_by_title.then(|| title(place)).transpose()?;
                Ok((title, if is_by_title { 0 } else { place.0.rank }, slug(place)?))
            };
            let keyed = places.into_iter().map(|place| Ok((key(&place)?, place)));
            let mut keyed = keyed.collect::<tantivy::Result<Vec<_>>>()?;
            keyed.sort();
            places = keyed.into_iter().map(|(_, place)| place).collect();
        }
        let has_more = places.len() > size;
        places.truncate(size);
        if has_more && let Some(place) = places.last() {
            let (rank, slug) = (place.0.rank, slug(place)?);
            page.next = Some(match listing.order {
                Order::Title => Cursor::Text(title(place)?, slug),
                Order::Relevance => Cursor::Match { rank, words, slug },
                Order::PriceAscending => Cursor::Number(rank as i64, slug),
                Order::Newest | Order::PriceDescending => Cursor::Number(!rank as i64, slug),
            });
        }
        for (place, part) in places {
            let card = self.card(DocAddress::new(part as u32, place.product))?;
            // What fits by its numbers fits by its names, unless there are more names than numbers.
            page.products.extend(card.summary(&listing.filter));
        }
        Ok(())
    }

    fn card(&self, address: DocAddress) -> tantivy::Result<Card> {
        let document: TantivyDocument = self.searcher.doc(address)?;
        let card = document.get_first(self.fields.card).and_then(|card| card.as_bytes()).unwrap_or_default();
        serde_json::from_slice(card).map_err(|error| TantivyError::InternalError(format!("a card is damaged: {error}")))
    }
}

impl Page {
    fn say_of_words(&mut self, words: &[Lists], wanted: u8) {
        let is_wanted = |number: usize| wanted >> number & 1 == 1;
        let numbered = || words.iter().enumerate();
        self.left_out = numbered().filter(|(at, _)| !is_wanted(*at)).map(|(_, word)| word.typed.clone()).collect();
        if words.iter().any(|word| word.corrected.is_some()) {
            let corrected = numbered()
                .filter(|(at, _)| is_wanted(*at))
                .map(|(_, word)| word.corrected.as_deref().unwrap_or(&word.typed));
            self.corrected = Some(corrected.collect::<Vec<_>>().join(" "));
        }
    }
}

/// Of the products that have the most words the one that scores best says which words are looked for: all of them, if any
/// product has all. A bit for each; 0 if nothing has any.
fn best_words(words: &[Lists], parts: &[(Segment<'_>, Option<Scores>)], fits: &Fits) -> u8 {
    let all = (1_u16 << words.len()).wrapping_sub(1) as u8;
    let parts = parts.iter().filter_map(|(part, scores)| Some((part, scores.as_ref()?)));
    let has_all = |(part, scores): (&Segment<'_>, &Scores)| {
        part.find(|product, head| (scores.found[product] == all && fits.head(head)).then_some(()))
    };
    if parts.clone().any(|part| has_all(part).is_some()) {
        return all;
    }
    let mut best = (0, 0, 0);
    parts.for_each(|(part, scores)| {
        part.blocks(
            |product, head| (scores.found[product] != 0) & fits.head(head),
            |products| {
                for product in products {
                    let words = scores.found[*product as usize];
                    best = best.max((words.count_ones(), scores.totals[*product as usize], words));
                }
            },
        );
    });
    best.2
}

/// A filter in an index's numbers.
struct Fits {
    /// Those bits of a product's head that are its category, if one is wanted, and what they must be.
    category: (u32, u32),
    /// A bit for each audience that fits.
    audiences: u32,
    sizes: Option<Values>,
    colours: Option<Values>,
    wanted: Wanted,
}

/// The sizes or colours that are wanted, and the sets that have one.
struct Values {
    values: Vec<bool>,
    sets: Vec<bool>,
}

impl Values {
    fn new(wanted: &[String], names: &[Name], sets: &[Set]) -> Option<Self> {
        if wanted.is_empty() {
            return None;
        }
        let wanted: Vec<_> = wanted.iter().map(|value| fold(value)).collect();
        let values: Vec<_> = names.iter().map(|name| wanted.contains(&name.folded)).collect();
        let sets = sets.iter().map(|set| set.names.iter().any(|value| values[*value as usize])).collect();
        Some(Self { values, sets })
    }

    fn has(&self, value: u32) -> bool {
        self.values.get(value as usize).copied().unwrap_or_default()
    }
}

impl Fits {
    fn new(filter: &Filter, names: &Names) -> Self {
        let category = match names.find_category(&filter.category) {
            _ if filter.category.is_empty() => (0, 0),
            Some(category) => (Head::CATEGORY, Head::category_bits(category)),
            // No product was ever in it: none fits.
            None => (0, 1),
        };
        let audiences = match filter.audience {
            None => u32::MAX,
            Some(audience) => 1 << Head::audience_bits(Audience::Everyone) | 1 << Head::audience_bits(audience),
        };
        Self {
            category,
            audiences,
            sizes: Values::new(&filter.sizes, &names.sizes, &names.size_sets),
            colours: Values::new(&filter.colours, &names.colours, &names.colour_sets),
            wanted: Wanted::of(filter),
        }
    }

    /// Whether a product fits by category and audience.
    fn head(&self, head: Head) -> bool {
        let (bits, wanted) = self.category;
        (head.0 & bits == wanted) & (self.audiences >> head.audience() & 1 == 1)
    }

    /// What is offered of a product to somebody who filters; `None` if it doesn't fit. The sets and the whole product's prices
    /// decide most; its variants are looked at where they don't.
    fn offered(&self, part: &Segment<'_>, candidate: &Candidate<'_>) -> Option<Offered> {
        let row = candidate.row;
        if self.sizes.as_ref().is_some_and(|sizes| !sizes.sets[row.sizes as usize])
            || self.colours.as_ref().is_some_and(|colours| !colours.sets[row.colours as usize])
        {
            return None;
        }
        let offered = candidate.offered();
        if self.sizes.is_none() && self.colours.is_none() {
            if self.wanted.is_any() {
                return Some(offered);
            }
            if offered.lowest == offered.highest {
                return self.wanted.among([Offer { price: offered.lowest, is_available: offered.is_available }]);
            }
        }
        let fitting = part.offers(candidate.product).filter(|offer| {
            self.sizes.as_ref().is_none_or(|sizes| sizes.has(offer.size()))
                && self.colours.as_ref().is_none_or(|colours| colours.has(offer.colour()))
        });
        self.wanted.among(fitting.map(|offer| Offer { price: offer.price(), is_available: offer.is_available() }))
    }
}

/// An order, and where in it a page begins, in a segment's numbers.
struct Ordered {
    order: Order,
    /// The rank behind which it begins, and at this rank the first slug.
    after: Option<(u64, u32)>,
}

impl Ordered {
    fn new(listing: &Listing, part: &Segment<'_>) -> tantivy::Result<Self> {
        let order = listing.order;
        let after = match &listing.after {
            None => None,
            Some(Cursor::Text(title, slug)) => Some(match part.titles.around(title)? {
                (Some(place), _) => (u64::from(place), part.slugs.around(slug)?.1),
                // All titles from the next one on are behind it.
                (None, next) => (u64::from(next), 0),
            }),
            Some(Cursor::Match { rank, slug, .. }) => Some((*rank, part.slugs.around(slug)?.1)),
            Some(Cursor::Number(number, slug)) => {
                let rank = match order {
                    Order::PriceAscending => *number as u64,
                    _ => !*number as u64,
                };
                Some((rank, part.slugs.around(slug)?.1))
            }
        };
        Ok(Self { order, after })
    }

    /// Smaller is earlier.
    fn rank(&self, row: &Row, offered: &Offered, score: u16) -> u64 {
        match self.order {
            Order::Newest => !row.created as u64,
            Order::PriceAscending => offered.lowest as u64,
            Order::PriceDescending => !offered.lowest as u64,
            Order::Title => u64::from(row.title),
            // What can be bought first, then the score, then the newest: 1, 15 and 48 bits.
            Order::Relevance => {
                let newest = !row.created as u64 & ((1 << 48) - 1);
                u64::from(!offered.is_available) << 63 | u64::from(0x7fff - score) << 48 | newest
            }
        }
    }

    fn is_behind(&self, rank: u64, slug: u32) -> bool {
        self.after.is_none_or(|(after, first)| rank > after || (rank == after && slug >= first))
    }
}
