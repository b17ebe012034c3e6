//! Who signs tokens in this shop, and what with.

use selvage_boot::Holder;
use selvage_identity::Role;

/// Each process gets the one key that it needs. A service's tokens may call what the service calls by itself; what it asks
/// for a visitor goes with the visitor's token.
pub const HOLDERS: [Holder; 5] = [
    Holder { name: "web", roles: &[Role::Guest, Role::Customer], rpcs: &[] },
    Holder {
        name: "checkout",
        roles: &[Role::Service],
        rpcs: &[
            "selvage.cart.v1.Cart/RemoveOrderedLines",
            "selvage.catalogue.v1.Catalogue/CommitStock",
            "selvage.catalogue.v1.Catalogue/ReleaseStock",
            "selvage.catalogue.v1.Catalogue/ReserveStock",
            "selvage.delivery.v1.Delivery/CancelShipment",
            "selvage.delivery.v1.Delivery/CreateShipment",
        ],
    },
    Holder { name: "catalogue", roles: &[Role::Service], rpcs: &["selvage.checkout.v1.Checkout/BatchGetOrderStates"] },
    Holder { name: "operations", roles: &[Role::Operations, Role::Faults], rpcs: &[] },
    Holder { name: "admin", roles: &[Role::Admin], rpcs: &[] },
];
