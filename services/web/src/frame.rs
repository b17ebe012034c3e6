//! What surrounds every page.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use selvage_context::deadline;
use tokio::time::Instant;

use crate::app::Inner;
use crate::assets;
use crate::problem::Problem;
use crate::session::Visitor;
use crate::view::CategoryLink;

/// How long a page waits for what surrounds it.
const BOUND: Duration = Duration::from_secs(2);

/// A page's header and footer, and its head.
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) categories: Arc<Vec<CategoryLink>>,
    /// The category that is looked at, if any.
    pub(crate) current: String,
    /// What was searched for.
    pub(crate) query: String,
    pub(crate) bag_count: i32,
    /// For the page's forms.
    pub(crate) csrf: String,
    /// Without JavaScript, the page is loaded again after so many seconds; 0 means never.
    pub(crate) refresh: u32,
    pub(crate) assets: Addresses,
}

/// Where the shop's own files are.
pub(crate) struct Addresses {
    pub(crate) base: String,
    pub(crate) shop: String,
    pub(crate) script: String,
    pub(crate) icon: String,
}

impl Frame {
    /// With the categories and what is in the visitor's bag, as far as they can be had: no page fails for its frame.
    pub(crate) async fn new(app: &Inner, visitor: &Visitor, title: impl Into<String>) -> Self {
        let bounded = async {
            let bag = async {
                match &visitor.0 {
                    Some(session) => app.shop.bag(&session.token).await.map_or(0, |bag| bag.item_count),
                    None => 0,
                }
            };
            tokio::join!(categories(app), bag)
        };
        let (categories, bag_count) = deadline::scope(Instant::now() + BOUND, bounded).await;
        Self { categories, bag_count, ..Self::without_calls(app, visitor, title) }
    }

    /// The same for a page that has the bag already.
    pub(crate) async fn with_bag(app: &Inner, visitor: &Visitor, title: impl Into<String>) -> Self {
        let categories = deadline::scope(Instant::now() + BOUND, categories(app)).await;
        Self { categories, ..Self::without_calls(app, visitor, title) }
    }

    /// From what is at hand.
    pub(crate) fn without_calls(app: &Inner, visitor: &Visitor, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            description: "Clothes with a finished edge: shirts, knitwear, coats and denim, made to last.".to_owned(),
            categories: app.categories.peek().unwrap_or_default(),
            current: String::new(),
            query: String::new(),
            bag_count: 0,
            csrf: app.csrf.token(visitor.subject(), rand::random()),
            refresh: 0,
            assets: Addresses {
                base: assets::address("base.css"),
                shop: assets::address("shop.css"),
                script: assets::address("shop.js"),
                icon: assets::address("favicon.svg"),
            },
        }
    }
}

/// The shop's categories, in its order; none if they can't be had.
pub(crate) async fn categories(app: &Inner) -> Arc<Vec<CategoryLink>> {
    let token = app.sessions.anonymous();
    let fetch = async {
        let categories = app.shop.categories(&token).await?;
        Ok::<_, tonic::Status>(categories.into_iter().map(CategoryLink::from).collect())
    };
    app.categories.get(fetch).await.unwrap_or_default()
}

/// Renders a page.
pub(crate) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => Problem::ours(error).into_response(),
    }
}
