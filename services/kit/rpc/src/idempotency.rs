//! Which methods may be called twice: those whose `idempotency_level` in the .proto says so.

/// Whether the method at `path` may be called twice to the effect of once.
pub(crate) fn is_idempotent(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(selvage_proto::is_idempotent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_keyed_changes_are_idempotent_and_additions_are_not() {
        assert!(is_idempotent("/selvage.catalogue.v1.Catalogue/GetProduct"));
        assert!(is_idempotent("/selvage.checkout.v1.Checkout/PlaceOrder"));
        assert!(!is_idempotent("/selvage.cart.v1.Cart/AddItem"));
        assert!(!is_idempotent("/somebody.else/Method"));
    }
}
