//! The gate that every form passes.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{StatusCode, header};

use crate::app::Inner;
use crate::csrf;
use crate::fields::Fields;
use crate::problem::Problem;
use crate::session::Visitor;

/// A form that was sent from one of our own pages. Handlers of POST take this and no other body, so that none can forget
/// the check.
pub(crate) struct Form {
    pub(crate) fields: Fields,
    pub(crate) visitor: Visitor,
}

impl FromRequest<Arc<Inner>> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<Inner>) -> Result<Self, Problem> {
        let visitor = request.extensions().get::<Visitor>().cloned().unwrap_or_default();
        let fields = read(request, app, visitor.subject()).await?;
        Ok(Self { fields, visitor })
    }
}

/// The fields of a form that was made for `subject`.
pub(crate) async fn read(request: Request, app: &Arc<Inner>, subject: Option<&str>) -> Result<Fields, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        return Err(Problem::BadRequest);
    }
    let headers = request.headers().clone();
    let body = Bytes::from_request(request, app).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
        _ => Problem::BadRequest,
    })?;
    let fields = Fields::parse(&body);
    if !app.csrf.allows(subject, fields.get(csrf::FIELD), &headers) {
        return Err(Problem::Forged);
    }
    Ok(fields)
}
