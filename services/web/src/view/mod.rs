//! What pages show, made from what services say: pure, so that each can be tested without a service.
//!
//! A view is made from a service's message by `new`, which fails with [`missing::Missing`] where the message lacks what the
//! page must say. Templates only place what a view holds.

pub mod bag;
pub mod card;
pub mod checkout;
pub mod countries;
pub mod date;
pub mod html;
pub mod listing;
pub mod missing;
pub mod money;
pub(crate) mod operations;
pub mod order;
pub mod picture;
pub mod product;
pub mod summary;
pub mod tracker;

use selvage_proto::catalogue::v1::Category;

/// A category, to be linked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryLink {
    /// As it stands in addresses.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// One sentence.
    pub blurb: String,
    /// How many products it has.
    pub count: i32,
}

impl From<Category> for CategoryLink {
    fn from(category: Category) -> Self {
        let Category { slug, title, blurb, product_count } = category;
        Self { slug, title, blurb, count: product_count }
    }
}
