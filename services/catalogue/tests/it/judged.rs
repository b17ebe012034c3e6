//! How well the search finds what people type: two sets of queries, each with the seeded products that it means. By one half the
//! search is tuned, and of it the worst queries are told; of the other only two figures are, so that nobody tunes by it.

#![allow(clippy::print_stdout, reason = "the figures are for a person")]

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::LazyLock;

use selvage_catalogue::domain::hue;
use selvage_catalogue::seed::{self, SeedProduct, SeedVariant};
use selvage_identity::Role;
use selvage_proto::catalogue::v1 as api;
use selvage_rpc::with_token;
use selvage_testkit::engines;
use serde::Deserialize;

use crate::edge::{Edge, edge};

/// What either half must reach: the mean of nDCG@10 over its queries.
const LEAST_NDCG: f64 = 0.80;
/// And the share of its queries whose first product is one of the best.
const LEAST_RIGHT_FIRST: f64 = 0.80;

/// Products of an answer that count.
const LOOKED_AT: usize = 10;
/// Queries of the tuned half that are told, from the worst.
const WORST: usize = 10;

/// One half of the judged set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Half {
    #[serde(rename = "query")]
    queries: Vec<Query>,
}

/// What somebody types, and what they mean: any of the rules.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    text: String,
    best: Vec<Rule>,
    #[serde(default)]
    good: Vec<Rule>,
}

/// What a product must have, all of it.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rule {
    garment: Option<Values>,
    category: Option<Values>,
    audience: Option<Values>,
    pattern: Option<Values>,
    tag: Option<Values>,
    title: Option<Values>,
    material: Option<Values>,
    /// A shade's name.
    colour: Option<Values>,
    /// What people call it.
    hue: Option<Values>,
    size: Option<Values>,
}

/// Any of them will do.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Any(Vec<String>),
}

impl Rule {
    fn holds(&self, product: &SeedProduct) -> bool {
        says(self.garment.as_ref(), |garment| product.garment == garment)
            && says(self.category.as_ref(), |category| product.category == category)
            && says(self.audience.as_ref(), |audience| product.audience == audience)
            && says(self.pattern.as_ref(), |pattern| product.pattern == pattern)
            && says(self.tag.as_ref(), |tag| product.tags.contains(&tag))
            && says(self.title.as_ref(), |title| has_words(&product.name, title))
            && says(self.material.as_ref(), |material| has_words(&product.material, material))
            && product.variants.iter().any(|variant| self.holds_of(variant))
    }

    fn holds_of(&self, variant: &SeedVariant) -> bool {
        says(self.colour.as_ref(), |colour| variant.colour_name.eq_ignore_ascii_case(colour))
            && says(self.hue.as_ref(), |hue| hue::words(variant.colour_hex).contains(&hue))
            && says(self.size.as_ref(), |size| variant.size.eq_ignore_ascii_case(size))
    }
}

/// A field that a rule doesn't have holds of everything.
fn says(values: Option<&Values>, holds: impl Fn(&str) -> bool) -> bool {
    match values {
        None => true,
        Some(Values::One(value)) => holds(value),
        Some(Values::Any(values)) => values.iter().any(|value| holds(value)),
    }
}

/// Whether these words stand side by side in the text, case aside.
fn has_words(text: &str, wanted: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let wanted = words(wanted);
    !wanted.is_empty() && words(text).windows(wanted.len()).any(|there| there == wanted)
}

impl Query {
    /// What finding this product is worth.
    fn gain(&self, product: &SeedProduct) -> u32 {
        let is_of = |rules: &[Rule]| rules.iter().any(|rule| rule.holds(product));
        match () {
            () if is_of(&self.best) => 3,
            () if is_of(&self.good) => 1,
            () => 0,
        }
    }

    fn gains<'a>(&self, products: impl IntoIterator<Item = &'a SeedProduct>) -> Vec<u32> {
        products.into_iter().map(|product| self.gain(product)).collect()
    }
}

/// The products that there are.
static PRODUCTS: LazyLock<Vec<SeedProduct>> = LazyLock::new(seed::products);

fn tuned() -> Half {
    toml::from_str(include_str!("../judged/tuned.toml")).unwrap()
}

fn held_out() -> Half {
    toml::from_str(include_str!("../judged/held_out.toml")).unwrap()
}

/// Normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002) of the first ten: 1 if nothing better could be shown.
fn ndcg_at_10(found: &[&SeedProduct], query: &Query) -> f64 {
    ndcg(&query.gains(found.iter().copied()), query.gains(&*PRODUCTS))
}

/// Of what was found, in its order, against all that could be; 0 if nothing of it is worth anything.
fn ndcg(found: &[u32], mut all: Vec<u32>) -> f64 {
    all.sort_unstable_by_key(|gain| Reverse(*gain));
    let ideal = dcg(&all);
    if ideal == 0.0 { 0.0 } else { dcg(found) / ideal }
}

fn dcg(gains: &[u32]) -> f64 {
    let ranked = gains.iter().take(LOOKED_AT).zip(2_u32..);
    ranked.map(|(gain, rank)| f64::from(*gain) / f64::from(rank).log2()).sum()
}

/// Whether the first product is worth as much as any that there is.
fn right_first(found: &[&SeedProduct], query: &Query) -> bool {
    let most = query.gains(&*PRODUCTS).into_iter().max();
    found.first().map(|product| query.gain(product)) == most
}

/// What the shop finds: slugs, best first. This is the one place that knows how it is asked.
async fn search(shop: &Edge, query: &str) -> Vec<String> {
    let page_size = i32::try_from(LOOKED_AT).unwrap();
    let request =
        api::SearchProductsRequest { query: query.into(), page_size, ..api::SearchProductsRequest::default() };
    let answer = shop.client.clone().search_products(with_token(&shop.tokens.of(Role::Guest, "g"), request)).await;
    let page = answer.unwrap_or_else(|status| panic!("{query}: {status}")).into_inner();
    page.products.into_iter().map(|product| product.slug).collect()
}

#[tokio::test]
async fn what_people_type_is_found() {
    let by_slug: HashMap<_, _> = PRODUCTS.iter().map(|product| (product.slug.as_str(), product)).collect();
    for engine in engines() {
        let shop = edge(engine).await;
        let mut too_low = Vec::new();
        for (name, half) in [("tuned", tuned()), ("held_out", held_out())] {
            let (mut judged, mut right) = (Vec::new(), 0_u32);
            for query in &half.queries {
                let slugs = search(&shop, &query.text).await;
                let found: Vec<_> = slugs.iter().map(|slug| by_slug[slug.as_str()]).collect();
                right += u32::from(right_first(&found, query));
                judged.push((ndcg_at_10(&found, query), &query.text, slugs));
            }
            let count = judged.len() as f64;
            let ndcg = judged.iter().map(|(ndcg, ..)| ndcg).sum::<f64>() / count;
            let right = f64::from(right) / count;
            println!("judged/{name}: nDCG@10 {ndcg:.2}, right first {:.0} % ({engine:?})", right * 100.0);
            if name == "tuned" {
                judged.sort_by(|(one, ..), (other, ..)| one.total_cmp(other));
                for (ndcg, text, slugs) in judged.iter().take(WORST) {
                    println!("  {ndcg:.2} {text:?}: {}", slugs.join(", "));
                }
            }
            if ndcg < LEAST_NDCG || right < LEAST_RIGHT_FIRST {
                too_low.push(format!("{name}: nDCG@10 {ndcg:.3}, right first {right:.3}"));
            }
        }
        assert!(
            too_low.is_empty(),
            "{engine:?}: {too_low:?}, and at least {LEAST_NDCG} and {LEAST_RIGHT_FIRST} is asked"
        );
    }
}

/// No text of the half that is held out is told here either.
#[test]
fn the_halves_are_sound_and_have_no_query_in_common() {
    let (tuned, held_out) = (tuned(), held_out());
    assert!(tuned.queries.len() >= 48 && held_out.queries.len() >= 48);
    let worth = |query: &Query| query.gains(&*PRODUCTS).into_iter().max().unwrap_or(0);
    for query in &tuned.queries {
        assert_eq!(worth(query), 3, "{}: no product is best", query.text);
        let rules = query.best.iter().chain(&query.good);
        let dead = rules.filter(|rule| !PRODUCTS.iter().any(|product| rule.holds(product))).count();
        assert_eq!(dead, 0, "{}: a rule holds of nothing", query.text);
    }
    let worthless = held_out.queries.iter().filter(|query| worth(query) == 0).count();
    assert_eq!(worthless, 0, "queries for which nothing is good");
    let mut texts: Vec<_> =
        tuned.queries.iter().chain(&held_out.queries).map(|query| query.text.to_lowercase()).collect();
    let count = texts.len();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), count, "a query is there twice");
}

/// Products by the names that begin with this.
fn named(begin: &str) -> Vec<&'static SeedProduct> {
    PRODUCTS.iter().filter(|product| product.name.starts_with(begin)).collect()
}

fn query(rules: &str) -> Query {
    toml::from_str(&format!("text = \"x\"\n{rules}")).unwrap()
}

#[test]
fn a_rule_holds_where_all_its_fields_do_and_any_of_their_values() {
    // The Alder Hoodie is for everyone, in Slate and Charcoal, XS to XXL, of cotton and polyester.
    let [hoodie] = named("Alder Hoodie")[..] else { panic!("one product") };
    for (rule, holds) in [
        ("garment = 'hoodie'", true),
        ("garment = ['knit', 'hoodie']", true),
        ("garment = 'knit'", false),
        ("garment = []", false),
        ("category = 't-shirts', audience = 'everyone', pattern = 'plain', tag = 'loungewear'", true),
        ("garment = 'hoodie', audience = 'men'", false),
        ("tag = 'lounge'", false),
        ("title = 'alder'", true),
        ("title = 'ALDER hoodie'", true),
        ("title = 'hood'", false),
        ("title = 'hoodie alder'", false),
        ("title = ''", false),
        ("material = 'cotton'", true),
        ("material = 'recycled polyester'", true),
        ("material = 'wool'", false),
        ("colour = 'charcoal', size = 'xl'", true),
        ("colour = 'Ink'", false),
        ("size = '38'", false),
        ("hue = 'grey'", true),
        ("hue = ['red', 'green']", false),
    ] {
        let query = query(&format!("best = [{{ {rule} }}]"));
        assert_eq!(query.gain(hoodie) == 3, holds, "{rule}");
    }
    assert_eq!(
        query("best = [{ size = 'M' }]\ngood = [{ garment = 'hoodie' }]").gain(hoodie),
        3,
        "best is more than good"
    );
    assert_eq!(query("best = []\ngood = [{ garment = 'hoodie' }]").gain(hoodie), 1);
    assert!(toml::from_str::<Query>("text = 'x'\nbest = [{ cut = 'slim' }]").is_err(), "a field that no rule has");
}

fn assert_is(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-6, "{value} isn't {expected}");
}

#[test]
fn ndcg_is_as_by_hand() {
    // By rank, 1 / log2(rank + 1): 1, 0.630930, 0.5, 0.430677.
    assert_is(dcg(&[3, 0, 1, 1]), 3.0 + 0.5 + 0.430_677);
    // The ideal is 3, 3, 1: 3 + 1.892789 + 0.5 = 5.392789.
    assert_is(ndcg(&[3, 3, 1], vec![0, 1, 3, 0, 3]), 1.0);
    assert_is(ndcg(&[0, 3, 1], vec![0, 1, 3, 0, 3]), (1.892_789 + 0.5) / 5.392_789);
    assert_is(ndcg(&[3], vec![0, 1, 3, 0, 3]), 3.0 / 5.392_789);
    assert_is(ndcg(&[], vec![3]), 0.0);
    assert_is(ndcg(&[0, 0], vec![0, 0]), 0.0);
    // Ten are looked at, of what is found and of what could be.
    assert_is(ndcg(&[3; 10], vec![3; 25]), 1.0);
    assert_is(ndcg(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3], vec![3]), 0.0);
}

#[test]
fn an_answer_is_measured_by_all_products() {
    // One is best; the six other hoodies are good.
    let query = query("best = [{ title = 'alder hoodie' }]\ngood = [{ garment = 'hoodie', size = 'XL' }]");
    let (best, good, other) = (named("Alder Hoodie")[0], named("Plover Hoodie")[0], named("Otto Cap")[0]);
    // The ideal: 3, and 1 at ranks 2 to 7: 3 + 2.638000.
    let ideal = 3.0 + 0.630_930 + 0.5 + 0.430_677 + 0.386_853 + 0.356_207 + 0.333_333;
    assert_is(ndcg_at_10(&[best, good], &query), 3.630_930 / ideal);
    assert_is(ndcg_at_10(&[other, best], &query), 3.0 * 0.630_930 / ideal);
    assert!(right_first(&[best, other], &query));
    assert!(!right_first(&[good, best], &query) && !right_first(&[other], &query) && !right_first(&[], &query));
}
