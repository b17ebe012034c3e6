//! What surrounds every page: head, header and footer.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use selvage_context::deadline;
use tokio::time::Instant;

use crate::assets;
use crate::categories::Categories;
use crate::csrf::Csrf;
use crate::problem::Problem;
use crate::session::Visitor;
use crate::shop::Shop;
use crate::view::CategoryLink;

/// How long a page waits for what surrounds it.
const BOUND: Duration = Duration::from_secs(2);

/// A page's header and footer, and its head.
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) categories: Arc<Vec<CategoryLink>>,
    /// The slug of the category that is looked at; empty if it is none.
    pub(crate) current: String,
    /// What was searched for.
    pub(crate) query: String,
    /// Pieces in the visitor's bag; `None` if the cart service didn't say.
    pub(crate) bag_count: Option<i32>,
    /// The token of the page's forms against forged requests.
    pub(crate) csrf: String,
    /// Without JavaScript, the page is loaded again after so many seconds; 0 means never.
    pub(crate) refresh: u32,
    pub(crate) assets: AssetAddresses,
}

/// Where the shop's style sheets, script and icon are.
pub(crate) struct AssetAddresses {
    pub(crate) base: String,
    pub(crate) shop: String,
    pub(crate) script: String,
    pub(crate) icon: String,
}

/// Makes the frames of pages. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Frames {
    shop: Shop,
    categories: Arc<Categories>,
    csrf: Arc<Csrf>,
}

impl Frames {
    /// With tokens for forms from `csrf`.
    pub(crate) fn new(shop: Shop, categories: Arc<Categories>, csrf: Arc<Csrf>) -> Self {
        Self { shop, categories, csrf }
    }

    /// With the categories and what is in the visitor's bag, as far as they can be had within 2 s: no page fails for its
    /// frame.
    pub(crate) async fn with_calls(&self, visitor: &Visitor, title: impl Into<String>) -> Frame {
        let bag_count = async {
            match &visitor.session {
                Some(session) => self.shop.bag(&session.token).await.ok().map(|bag| bag.item_count),
                None => Some(0),
            }
        };
        let calls = async { tokio::join!(self.categories.get(), bag_count) };
        let (categories, bag_count) = deadline::scope(Instant::now() + BOUND, calls).await;
        Frame { categories, bag_count, ..self.without_calls(visitor.subject(), title) }
    }

    /// The same for a page that asks for the bag itself, and says what is in it.
    pub(crate) async fn with_categories(&self, visitor: &Visitor, title: impl Into<String>) -> Frame {
        let categories = deadline::scope(Instant::now() + BOUND, self.categories.get()).await;
        Frame { categories, ..self.without_calls(visitor.subject(), title) }
    }

    /// From what is at hand, for the session of `subject`.
    pub(crate) fn without_calls(&self, subject: Option<&str>, title: impl Into<String>) -> Frame {
        Frame {
            title: title.into(),
            description: "Clothes with a finished edge: shirts, knitwear, coats and denim, made to last.".to_owned(),
            categories: self.categories.at_hand(),
            current: String::new(),
            query: String::new(),
            bag_count: None,
            csrf: self.csrf.token(subject, rand::random()),
            refresh: 0,
            assets: AssetAddresses {
                base: assets::address("base.css"),
                shop: assets::address("shop.css"),
                script: assets::address("shop.js"),
                icon: assets::address("favicon.svg"),
            },
        }
    }
}

/// Renders a page.
pub(crate) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}
