/// The rpcs of all services, each as `package.Service/Method`, in the order of the alphabet, and whether it may be called twice to
/// the effect of once: what `idempotency_level` in its .proto says. The build makes the list, so that no process reads 100 KB of
/// descriptors for it.
const RPCS: &[(&str, bool)] = include!(concat!(env!("OUT_DIR"), "/rpcs.rs"));

/// The rpcs of all services, each as `package.Service/Method`, in the order of the alphabet.
pub fn rpcs() -> impl Iterator<Item = &'static str> {
    RPCS.iter().map(|(name, _)| *name)
}

/// The rpc of this name, as [`rpcs`] has it.
pub fn rpc(name: &str) -> Option<&'static str> {
    found(name).map(|(name, _)| *name)
}

/// Whether there is an rpc of this name, `package.Service/Method`.
pub fn is_rpc(name: &str) -> bool {
    found(name).is_some()
}

/// Whether the rpc of this name may be called twice to the effect of once. Nothing is known of others, so they may not.
pub fn is_idempotent(name: &str) -> bool {
    found(name).is_some_and(|(_, idempotent)| *idempotent)
}

fn found(name: &str) -> Option<&'static (&'static str, bool)> {
    RPCS.binary_search_by_key(&name, |(name, _)| name).ok().and_then(|index| RPCS.get(index))
}
