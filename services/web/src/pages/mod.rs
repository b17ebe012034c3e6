//! The pages: what is asked for, which calls answer it, and what is shown. Each handler takes the parts of the shop that it
//! needs as `State`, and none knows the router.

pub(crate) mod bag;
pub(crate) mod checkout;
mod form;
pub(crate) mod home;
pub(crate) mod listing;
mod live;
pub(crate) mod metrics;
pub(crate) mod operations;
pub(crate) mod order;
mod order_id;
pub(crate) mod orders;
pub(crate) mod problem;
pub(crate) mod product;
mod query;
pub(crate) mod tracker;

use axum::response::{IntoResponse, Redirect, Response};

use crate::problem::Problem;

/// A page, or why there is none.
type Page = Result<Response, Problem>;

/// Leads on to `address` after a form was taken. The browser gets it by GET, so that loading it again doesn't send the form
/// again.
fn redirect_to(address: &str) -> Response {
    Redirect::to(address).into_response()
}
