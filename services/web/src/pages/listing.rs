//! Categories and search.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use selvage_proto::catalogue::v1::{ListProductsRequest, ListProductsResponse, SearchProductsRequest};
use tonic::Code;

use super::{Page, query, redirect_to};
use crate::categories::Categories;
use crate::frame::{Frame, Frames, page};
use crate::problem::Problem;
use crate::session::Visitor;
use crate::settings::Settings;
use crate::shop::{Found, Shop};
use crate::view::CategoryLink;
use crate::view::card::Card;
use crate::view::listing::filters::Filters;
use crate::view::listing::query::{PAGE_SIZE, Query};
use crate::view::missing::Missing;

#[derive(Template)]
#[template(path = "listing.html")]
struct ListingPage {
    frame: Frame,
    heading: String,
    blurb: String,
    /// What was looked for instead of what was typed.
    notices: Vec<String>,
    /// Where the filter form leads.
    path: String,
    query: Query,
    filters: Filters,
    cards: Vec<Card>,
    total: i32,
    next_href: String,
    first_href: String,
    /// Where else to look when nothing was found.
    elsewhere: Vec<CategoryLink>,
}

/// `GET /c/{slug}`
pub(crate) async fn category(
    State(shop): State<Shop>,
    State(frames): State<Frames>,
    State(categories): State<Arc<Categories>>,
    State(settings): State<Arc<Settings>>,
    visitor: Visitor,
    Path(slug): Path<String>,
    query::Query(fields): query::Query,
) -> Page {
    let query = Query { words: String::new(), ..Query::parse(&fields) };
    let known = categories.get().await;
    let category = known.iter().find(|category| category.slug == slug).ok_or(Problem::NotFound)?;
    let request = ListProductsRequest {
        page_size: PAGE_SIZE,
        page_token: query.token.clone(),
        filter: Some(query.filter(&slug, &settings.currency)),
        order_by: query.order_by().into(),
        with_facets: true,
    };
    let (frame, found) = tokio::join!(
        frames.with_calls(&visitor, category.title.as_str()),
        shop.products(&visitor.reading_token, request),
    );
    let path = format!("/c/{slug}");
    let found = match found {
        Err(status) if is_stale(&status, &query) => return Ok(redirect_to(&query.href(&path))),
        found => found?,
    };
    let frame = Frame { current: slug, description: category.blurb.clone(), ..frame };
    let listing = listing(frame, path, query, found, &settings.currency)?;
    Ok(page(&ListingPage { heading: category.title.clone(), blurb: category.blurb.clone(), ..listing }))
}

/// `GET /search`
pub(crate) async fn search(
    State(shop): State<Shop>,
    State(frames): State<Frames>,
    State(settings): State<Arc<Settings>>,
    visitor: Visitor,
    query::Query(fields): query::Query,
) -> Page {
    let query = Query::parse(&fields);
    let currency = &settings.currency;
    let find = async {
        if query.words.is_empty() {
            return Ok(Found::default());
        }
        let request = SearchProductsRequest {
            query: query.words.clone(),
            page_size: PAGE_SIZE,
            page_token: query.token.clone(),
            filter: Some(query.filter("", currency)),
            order_by: query.order_by().into(),
            with_facets: true,
        };
        shop.search(&visitor.reading_token, request).await
    };
    let (frame, found) = tokio::join!(frames.with_calls(&visitor, "Search"), find);
    let found = match found {
        Err(status) if is_stale(&status, &query) => return Ok(redirect_to(&query.href("/search"))),
        found => found?,
    };
    let heading = match query.words.as_str() {
        "" => "What are you looking for?".to_owned(),
        words => format!("\u{201c}{words}\u{201d}"),
    };
    let frame = Frame { query: query.words.clone(), ..frame };
    let mut notices = notices(&found);
    let listing = listing(frame, "/search".to_owned(), query, found.listing, currency)?;
    notices.extend(listing.notices);
    Ok(page(&ListingPage { heading, notices, ..listing }))
}

/// Said where the catalogue can't ask its database.
const MAY_BE_OLD: &str = "Prices and stock may have changed since. Your bag shows what holds now.";

/// What a search did otherwise than it was told.
fn notices(found: &Found) -> Vec<String> {
    let mut notices = Vec::new();
    if found.listing.products.is_empty() {
        return notices;
    }
    if !found.corrected.is_empty() {
        notices.push(format!("We looked for \u{201c}{}\u{201d}: nothing has what you typed.", found.corrected));
    }
    let quoted: Vec<_> = found.left_out.iter().map(|word| format!("\u{201c}{word}\u{201d}")).collect();
    if !quoted.is_empty() {
        let words = quoted.join(" and ");
        notices.push(format!("Nothing here has all of that. This is what we found without {words}."));
    }
    notices
}

/// Whether a page's token is no longer good: the listing begins again then.
fn is_stale(status: &tonic::Status, query: &Query) -> bool {
    status.code() == Code::InvalidArgument && !query.token.is_empty()
}

fn listing(
    frame: Frame,
    path: String,
    query: Query,
    found: ListProductsResponse,
    currency: &str,
) -> Result<ListingPage, Missing> {
    let next = &found.next_page_token;
    let cards = found.products.iter().map(|product| Card::new(product, &query.colours));
    Ok(ListingPage {
        heading: String::new(),
        blurb: String::new(),
        notices: Vec::from_iter(found.may_be_old.then(|| MAY_BE_OLD.to_owned())),
        filters: Filters::new(&query, found.facets.as_ref(), &path, currency),
        cards: cards.collect::<Result<_, _>>()?,
        total: found.total_size,
        next_href: if next.is_empty() { String::new() } else { query.next_href(&path, next) },
        first_href: if query.page > 1 { query.href(&path) } else { String::new() },
        elsewhere: if found.products.is_empty() { frame.categories.to_vec() } else { Vec::new() },
        frame,
        path,
        query,
    })
}
