//! The check that every form passes.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequest, FromRequestParts as _, RawForm, Request};
use axum::response::IntoResponse as _;
use http::StatusCode;

use crate::csrf::{self, Csrf};
use crate::fields::Fields;
use crate::problem::Problem;
use crate::session::Visitor;

/// A form that was sent from one of our own pages. Handlers of POST take this and no other body, so that none can forget
/// the check.
pub(crate) struct Form {
    pub(crate) fields: Fields,
    pub(crate) visitor: Visitor,
}

impl<S> FromRequest<S> for Form
where
    S: Send + Sync,
    Arc<Csrf>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let fields = read(Request::from_parts(parts, body), state, visitor.subject()).await?;
        Ok(Self { fields, visitor })
    }
}

/// The fields of a form that was made for `subject`.
pub(crate) async fn read<S>(request: Request, state: &S, subject: Option<&str>) -> Result<Fields, Problem>
where
    S: Send + Sync,
    Arc<Csrf>: FromRef<S>,
{
    let headers = request.headers().clone();
    let RawForm(text) =
        RawForm::from_request(request, state).await.map_err(|rejection| match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
            _ => Problem::BadRequest,
        })?;
    let fields = Fields::parse(&text);
    if !Arc::<Csrf>::from_ref(state).allows(subject, fields.get(csrf::FIELD), &headers) {
        return Err(Problem::Forged);
    }
    Ok(fields)
}
