//! Which methods may be called twice: those whose `idempotency_level` in the .proto says so.

use std::collections::HashSet;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;

static IDEMPOTENT: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(selvage_proto::DESCRIPTORS).expect("our own descriptors");
    let mut paths = HashSet::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let level = method.options.as_ref().map(prost_types::MethodOptions::idempotency_level);
                if matches!(level, Some(IdempotencyLevel::NoSideEffects | IdempotencyLevel::Idempotent)) {
                    paths.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
    }
    paths
});

/// Whether the method at `path` may be called twice to the effect of once.
pub(crate) fn is_idempotent(path: &str) -> bool {
    IDEMPOTENT.contains(path)
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
