//! Categories and search.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use selvage_proto::catalogue::v1::{ListProductsRequest, ListProductsResponse, SearchProductsRequest};
use tonic::Code;

use super::{App, Page, Who, lead_to};
use crate::fields::Fields;
use crate::frame::{Frame, categories, page};
use crate::problem::Problem;
use crate::view::CategoryLink;
use crate::view::card::Card;
use crate::view::listing::{Filters, PAGE_SIZE, Query};

#[derive(Template)]
#[template(path = "listing.html")]
struct ListingPage {
    frame: Frame,
    heading: String,
    blurb: String,
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
    State(app): App,
    Extension(visitor): Who,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
) -> Page {
    let query = Query { words: String::new(), ..parse(query.as_deref()) };
    let known = categories(&app).await;
    let category = known.iter().find(|category| category.slug == slug).ok_or(Problem::NotFound)?;
    let token = app.sessions.reading_token(&visitor);
    let request = ListProductsRequest {
        page_size: PAGE_SIZE,
        page_token: query.token.clone(),
        filter: Some(query.filter(&slug, &app.settings.currency)),
        order_by: query.order_by().into(),
        with_facets: true,
    };
    let (frame, found) =
        tokio::join!(Frame::new(&app, &visitor, category.title.as_str()), app.shop.products(&token, request));
    let path = format!("/c/{slug}");
    let found = match found {
        Err(status) if is_stale(&status, &query) => return Ok(lead_to(&query.href(&path))),
        found => found?,
    };
    let frame = Frame { current: slug, description: category.blurb.clone(), ..frame };
    let listing = listing(frame, path, query, found, &app.settings.currency);
    Ok(page(&ListingPage { heading: category.title.clone(), blurb: category.blurb.clone(), ..listing }))
}

/// `GET /search`
pub(crate) async fn search(State(app): App, Extension(visitor): Who, RawQuery(query): RawQuery) -> Page {
    let query = parse(query.as_deref());
    let token = app.sessions.reading_token(&visitor);
    let currency = &app.settings.currency;
    let find = async {
        if query.words.is_empty() {
            return Ok(ListProductsResponse::default());
        }
        let request = SearchProductsRequest {
            query: query.words.clone(),
            page_size: PAGE_SIZE,
            page_token: query.token.clone(),
            filter: Some(query.filter("", currency)),
            order_by: query.order_by().into(),
            with_facets: true,
        };
        app.shop.search(&token, request).await
    };
    let (frame, found) = tokio::join!(Frame::new(&app, &visitor, "Search"), find);
    let found = match found {
        Err(status) if is_stale(&status, &query) => return Ok(lead_to(&query.href("/search"))),
        found => found?,
    };
    let heading = match query.words.as_str() {
        "" => "What are you looking for?".to_owned(),
        words => format!("\u{201c}{words}\u{201d}"),
    };
    let frame = Frame { query: query.words.clone(), ..frame };
    let listing = listing(frame, "/search".to_owned(), query, found, currency);
    Ok(page(&ListingPage { heading, ..listing }))
}

fn parse(query: Option<&str>) -> Query {
    Query::parse(&Fields::parse(query.unwrap_or_default().as_bytes()))
}

/// Whether a page's token is no longer good: the listing begins again then.
fn is_stale(status: &tonic::Status, query: &Query) -> bool {
    status.code() == Code::InvalidArgument && !query.token.is_empty()
}

fn listing(frame: Frame, path: String, query: Query, found: ListProductsResponse, currency: &str) -> ListingPage {
    let next = &found.next_page_token;
    ListingPage {
        heading: String::new(),
        blurb: String::new(),
        filters: Filters::new(&query, &found.facets.unwrap_or_default(), &path, currency),
        cards: found.products.iter().map(|product| Card::new(product, &query.colours)).collect(),
        total: found.total_size,
        next_href: if next.is_empty() { String::new() } else { query.next_href(&path, next) },
        first_href: if query.page > 1 { query.href(&path) } else { String::new() },
        elsewhere: if found.products.is_empty() { frame.categories.to_vec() } else { Vec::new() },
        frame,
        path,
        query,
    }
}
