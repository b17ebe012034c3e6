//! Compiles the .proto files with protox: no protoc is needed.

use std::path::PathBuf;
use std::{env, fs};

use prost::Message;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorSet, MethodOptions};

/// Packages, each with the names of its files.
const PACKAGES: [(&str, &[&str]); 6] = [
    ("catalogue", &["catalogue"]),
    ("cart", &["cart"]),
    ("checkout", &["checkout"]),
    ("delivery", &["delivery"]),
    ("operations", &["operations"]),
    ("pool", &["broker", "decisions"]),
];

/// All rpcs, each with whether it may be called twice to the effect of once; sorted.
fn rpcs(set: &FileDescriptorSet) -> Vec<(String, bool)> {
    let mut rpcs = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let level = method.options.as_ref().map(MethodOptions::idempotency_level);
                let idempotent = matches!(level, Some(IdempotencyLevel::NoSideEffects | IdempotencyLevel::Idempotent));
                rpcs.push((format!("{}.{}/{}", file.package(), service.name(), method.name()), idempotent));
            }
        }
    }
    rpcs.sort();
    rpcs
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=selvage");
    let path = |package: &str, file: &str| format!("selvage/{package}/v1/{file}.proto");
    let files = PACKAGES.iter().flat_map(|(package, files)| files.iter().map(move |file| path(package, file)));
    let set = protox::compile(files, ["."])?;

    // Reflection and the lint test read the descriptors, comments included.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), set.encode_to_vec())?;

    fs::write(out.join("rpcs.rs"), format!("&{:?}", rpcs(&set)))?;

    let mut config = tonic_prost_build::configure();
    for (service, _) in PACKAGES {
        let package = format!("selvage.{service}.v1");
        config = config
            .client_mod_attribute(&package, format!("#[cfg(feature = \"{service}-client\")]"))
            .server_mod_attribute(&package, format!("#[cfg(feature = \"{service}-server\")]"));
    }
    config.compile_fds(set)?;
    Ok(())
}
