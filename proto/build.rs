//! Compiles the .proto files with protox: no protoc is needed.

use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

const SERVICES: [&str; 5] = ["catalogue", "cart", "checkout", "delivery", "operations"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=selvage");
    let files = SERVICES.map(|service| format!("selvage/{service}/v1/{service}.proto"));
    let set = protox::compile(files, ["."])?;

    // Reflection and the lint test read the descriptors, comments included.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), set.encode_to_vec())?;

    let mut config = tonic_prost_build::configure();
    for service in SERVICES {
        let package = format!("selvage.{service}.v1");
        config = config
            .client_mod_attribute(&package, format!("#[cfg(feature = \"{service}-client\")]"))
            .server_mod_attribute(&package, format!("#[cfg(feature = \"{service}-server\")]"));
    }
    config.compile_fds(set)?;
    Ok(())
}
