//! The pages: what is asked for, which calls answer it, and what is shown.

pub(crate) mod bag;
pub(crate) mod checkout;
mod form;
pub(crate) mod home;
pub(crate) mod listing;
pub(crate) mod operations;
pub(crate) mod order;
pub(crate) mod product;
pub(crate) mod tracker;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use crate::app::Inner;
use crate::problem::Problem;
use crate::session::Visitor;

/// What all handlers share.
type App = State<Arc<Inner>>;
/// Who asks.
type Who = Extension<Visitor>;
/// A page, or why there is none.
type Page = Result<Response, Problem>;

/// Leads on after a form was taken, by GET: loading the next page again doesn't send the form again.
fn lead_to(address: &str) -> Response {
    Redirect::to(address).into_response()
}
