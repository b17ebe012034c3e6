//! What a process of the pages is told at its start: its settings, and where the services are.

use selvage_rpc::Channel;

use crate::operations::Operations;

/// What an operator of the shop decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// People reach the shop by https: browsers send the session over nothing else.
    pub secure_cookies: bool,
    /// The shop's currency, ISO 4217.
    pub currency: String,
    /// The whole shop is in this process, whose metrics are then at `/metrics` for who may look at `/ops`.
    pub whole_shop: bool,
    /// Requests come through a proxy of our own, whose traces are continued.
    pub trusted_proxy: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { secure_cookies: false, currency: "EUR".to_owned(), whole_shop: false, trusted_proxy: false }
    }
}

/// The services that the pages are made from. The channels bear no token of their own: every call is made with a visitor's.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The catalogue service.
    pub catalogue: Channel,
    /// The cart service.
    pub cart: Channel,
    /// The checkout service.
    pub checkout: Channel,
    /// The delivery service.
    pub delivery: Channel,
    /// The processes that the operations page shows.
    pub operations: Operations,
}
