//! The words of a query in an index: which lists of products each of them stands for, and how much a list counts.

use tantivy::query::FuzzyTermQuery;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{COLLECT_BLOCK_BUFFER_LEN, DocSet as _, Searcher, SegmentReader, Term};

use super::schema::{Fields, Zone, meaning_term};
use crate::domain::search::{Query, Word, english};

/// What a word counts by the [`Zone`] in which it stands.
///
/// Whole numbers of the product and the query alone, where BM25 takes the whole shop into account: a product that doesn't change
/// keeps its place among others that don't, in each replica, so that pages neither repeat nor miss it.
const WEIGHTS: [u8; 4] = [128, 80, 48, 16];
/// What is added where the word stands as it was typed.
const AS_TYPED: u8 = 16;
/// What a SKU counts.
const SKU: u8 = 255;
/// Ends that are looked up for a beginning: those of the most products.
const MAX_ENDS: usize = 32;
/// Letters of a word in which one may be wrong.
const MIN_FUZZY: usize = 5;

/// How near a word comes to what was typed.
#[derive(Clone, Copy)]
enum Nearness {
    Same,
    Meaning,
    Beginning,
    OneLetter,
}

impl Nearness {
    fn weigh(self, weight: u8) -> u8 {
        match self {
            Self::Same => weight,
            Self::Beginning => weight / 8 * 7,
            Self::Meaning => weight / 4 * 3,
            Self::OneLetter => weight / 2,
        }
    }
}

/// A word with the lists that it stands for.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The word as it was typed, folded.
    pub(super) typed: String,
    /// What was found in its place.
    pub(super) corrected: Option<String>,
    lists: Vec<(Term, u8)>,
    /// Where it stands as it was typed.
    as_typed: Option<Term>,
}

/// The lists of a query's words, at most eight.
///
/// # Errors
/// If the index can't be read.
pub(super) fn lists(query: &Query, searcher: &Searcher, fields: &Fields) -> tantivy::Result<Vec<Lists>> {
    let sku = Term::from_field_text(fields.sku, &query.typed.to_uppercase());
    if searcher.doc_freq(&sku)? > 0 {
        return Ok(vec![Lists { typed: query.typed.clone(), lists: vec![(sku, SKU)], ..Lists::default() }]);
    }
    let finder = Finder { searcher, fields };
    let mut found = Vec::new();
    for word in &query.words {
        finder.find(word, &mut found)?;
    }
    found.truncate(8);
    Ok(found)
}

struct Finder<'a> {
    searcher: &'a Searcher,
    fields: &'a Fields,
}

impl Finder<'_> {
    fn find(&self, word: &Word, found: &mut Vec<Lists>) -> tantivy::Result<()> {
        let mut lists = Lists { typed: word.form.clone(), ..Lists::default() };
        self.add(&word.stem, Nearness::Same, &mut lists)?;
        if let Some(meaning) = &word.meaning {
            self.add(&meaning_term(meaning), Nearness::Meaning, &mut lists)?;
        }
        if lists.lists.is_empty() && !word.parts.is_empty() {
            return word.parts.iter().try_for_each(|part| self.find(part, found));
        }
        lists.as_typed = Some(Term::from_field_text(self.fields.forms, &word.form));
        if lists.lists.is_empty() && word.is_last {
            for form in self.ends(&word.form)? {
                self.add(&english().stem(&form), Nearness::Beginning, &mut lists)?;
            }
        }
        if lists.lists.is_empty() && !word.is_pair && word.form.chars().count() >= MIN_FUZZY {
            let near = self.near(&word.form)?;
            lists.corrected = near.first().cloned();
            for form in near {
                self.add(&english().stem(&form), Nearness::OneLetter, &mut lists)?;
            }
            for known in english().near(&word.form) {
                let Some(meaning) = english().meaning(&english().stem(known)) else { continue };
                self.add(&meaning_term(meaning), Nearness::OneLetter, &mut lists)?;
                if lists.corrected.is_none() && !lists.lists.is_empty() {
                    lists.corrected = Some(known.to_owned());
                }
            }
        }
        found.push(lists);
        Ok(())
    }

    /// Adds the lists of a stem or meaning, those that there are.
    fn add(&self, stem: &str, nearness: Nearness, lists: &mut Lists) -> tantivy::Result<()> {
        for zone in Zone::ALL {
            let term = Term::from_field_text(self.fields.zones[zone as usize], stem);
            if self.searcher.doc_freq(&term)? > 0 && lists.lists.iter().all(|(known, _)| *known != term) {
                lists.lists.push((term, nearness.weigh(WEIGHTS[zone as usize])));
            }
        }
        Ok(())
    }

    /// The words that begin so, those of the most products first.
    fn ends(&self, beginning: &str) -> tantivy::Result<Vec<String>> {
        let mut beyond = beginning.as_bytes().to_vec();
        beyond.push(0xff);
        self.forms(|segment, take| {
            let index = segment.inverted_index(self.fields.forms)?;
            let mut stream = index.terms().range().ge(beginning).lt(&beyond).into_stream()?;
            while let Some((form, info)) = stream.next() {
                take(form, info.doc_freq);
            }
            Ok(())
        })
    }

    /// The words that differ in one letter, or in two that changed places; those of the most products first.
    fn near(&self, form: &str) -> tantivy::Result<Vec<String>> {
        let automaton = FuzzyTermQuery::new(Term::from_field_text(self.fields.forms, form), 1, true).automaton()?;
        self.forms(|segment, take| {
            let index = segment.inverted_index(self.fields.forms)?;
            let mut stream = index.terms().search(&automaton).into_stream()?;
            while let Some((form, info)) = stream.next() {
                take(form, info.doc_freq);
            }
            Ok(())
        })
    }

    fn forms(
        &self,
        each: impl Fn(&SegmentReader, &mut dyn FnMut(&[u8], u32)) -> tantivy::Result<()>,
    ) -> tantivy::Result<Vec<String>> {
        let mut counts = std::collections::HashMap::<Vec<u8>, u32>::new();
        for segment in self.searcher.segment_readers() {
            each(segment, &mut |form, count| *counts.entry(form.to_vec()).or_default() += count)?;
        }
        let mut forms: Vec<_> = counts.into_iter().collect();
        forms.sort_unstable_by(|(one, of_one), (other, of_other)| of_other.cmp(of_one).then_with(|| one.cmp(other)));
        forms.truncate(MAX_ENDS);
        Ok(forms.into_iter().filter_map(|(form, _)| String::from_utf8(form).ok()).collect())
    }
}

/// What a segment's products score, by their numbers.
///
/// One word after the other, with a sum for each product (term-at-a-time evaluation with accumulators; Zobel and Moffat,
/// "Inverted files for text search engines", ACM Computing Surveys 38(2), 2006). A list is decoded once and added to sums that
/// lie side by side, which is less work than bringing the lists into step product by product.
pub(super) struct Scores {
    /// At most 8 × (255 + 16).
    pub(super) totals: Vec<u16>,
    /// Which words a product has: a bit for each.
    pub(super) found: Vec<u8>,
}

impl Scores {
    /// # Errors
    /// If the index can't be read.
    pub(super) fn of(words: &[Lists], segment: &SegmentReader) -> tantivy::Result<Self> {
        let products = segment.max_doc() as usize;
        let mut scores = Self { totals: vec![0; products], found: vec![0; products] };
        let mut best = vec![0_u8; products];
        for (number, word) in words.iter().enumerate() {
            let bit = 1_u8 << number;
            best.fill(0);
            for (term, weight) in &word.lists {
                each(segment, term, |product| {
                    // Of the lists of one word the best counts.
                    let gain = weight.saturating_sub(best[product]);
                    best[product] += gain;
                    scores.totals[product] += u16::from(gain);
                    scores.found[product] |= bit;
                })?;
            }
            if let Some(term) = &word.as_typed {
                each(segment, term, |product| {
                    scores.totals[product] += u16::from(AS_TYPED) * u16::from(scores.found[product] & bit != 0);
                })?;
            }
        }
        Ok(scores)
    }
}

fn each(segment: &SegmentReader, term: &Term, mut product: impl FnMut(usize)) -> tantivy::Result<()> {
    let field: Field = term.field();
    let Some(mut list) = segment.inverted_index(field)?.read_postings(term, IndexRecordOption::Basic)? else {
        return Ok(());
    };
    let mut block = [0; COLLECT_BLOCK_BUFFER_LEN];
    loop {
        let count = list.fill_buffer(&mut block);
        block[..count].iter().for_each(|number| product(*number as usize));
        if count < COLLECT_BLOCK_BUFFER_LEN {
            return Ok(());
        }
    }
}
