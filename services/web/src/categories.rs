//! The shop's categories, which every page links to.

use std::sync::Arc;
use std::time::Duration;

use tonic::Status;

use crate::cached::Cached;
use crate::session::Sessions;
use crate::shop::Shop;
use crate::view::CategoryLink;

/// Categories change rarely: the catalogue is asked once in this time.
const LIFETIME: Duration = Duration::from_secs(30);

/// Fetches the categories, and keeps them for 30 s.
pub(crate) struct Categories {
    shop: Shop,
    sessions: Arc<Sessions>,
    cached: Cached<Vec<CategoryLink>>,
}

impl Categories {
    /// None fetched yet.
    pub(crate) fn new(shop: Shop, sessions: Arc<Sessions>) -> Self {
        Self { shop, sessions, cached: Cached::new(LIFETIME) }
    }

    /// All categories in the shop's order; none while the catalogue doesn't answer and never did.
    pub(crate) async fn get(&self) -> Arc<Vec<CategoryLink>> {
        let token = self.sessions.anonymous_token();
        let fetch = async {
            let categories = self.shop.categories(&token).await?;
            Ok::<_, Status>(categories.into_iter().map(CategoryLink::from).collect())
        };
        self.cached.get(fetch).await.unwrap_or_default()
    }

    /// What was fetched last, without a call and however old; none if nothing was.
    pub(crate) fn at_hand(&self) -> Arc<Vec<CategoryLink>> {
        self.cached.peek().unwrap_or_default()
    }
}
