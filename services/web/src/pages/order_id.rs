//! The order that an address names.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use uuid::Uuid;

use crate::problem::Problem;

/// The order's id in its one form: lower case, with hyphens. Any other text names no order, and isn't found.
pub(crate) struct OrderId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for OrderId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::NotFound)?;
        text.parse::<Uuid>().map(|id| Self(id.to_string())).map_err(|_| Problem::NotFound)
    }
}
