use std::collections::BTreeSet;
use std::sync::LazyLock;

use prost::Message as _;

/// The rpcs of all services, each as `package.Service/Method`, in the order of the alphabet.
pub fn rpcs() -> &'static BTreeSet<String> {
    static RPCS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let set = prost_types::FileDescriptorSet::decode(crate::DESCRIPTORS).expect("our own descriptors");
        let mut rpcs = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                let name = |method: &prost_types::MethodDescriptorProto| {
                    format!("{}.{}/{}", file.package(), service.name(), method.name())
                };
                rpcs.extend(service.method.iter().map(name));
            }
        }
        rpcs
    });
    &RPCS
}

/// Whether there is an rpc of this name, `package.Service/Method`.
pub fn is_rpc(name: &str) -> bool {
    rpcs().contains(name)
}
