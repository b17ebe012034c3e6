//! `/metrics` beside the pages, where the whole shop is in one process: for whoever may look at the operations page.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use selvage_telemetry::metrics;

use super::operations::OperationsParts;
use crate::settings::Settings;

const WHO_MAY: &str = "Metrics are for who may look at /ops: fetch them with its cookie, or with 'authorization: Bearer <token>' and a \
    token that `selvage token operations` prints. With --metrics-listen ADDR the shop serves them to a Prometheus on a port of \
    their own.\n";

/// `GET /metrics`
pub(crate) async fn show(
    State(settings): State<Arc<Settings>>,
    State(operations): State<Arc<OperationsParts>>,
    headers: HeaderMap,
) -> Response {
    if !settings.whole_shop {
        return StatusCode::NOT_FOUND.into_response();
    }
    match operations.lets_in(&headers).await {
        Some(true) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text()).into_response(),
        Some(false) => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], WHO_MAY).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "The shop can't check who asks now; try again.\n").into_response(),
    }
}
