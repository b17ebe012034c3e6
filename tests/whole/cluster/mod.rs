//! The shop on a real Kubernetes cluster: an API server, two nodes with their kubelets and containers, and nothing else that
//! this machine doesn't have.
//!
//! `tests/run` runs these by themselves, one after the other, since a cluster takes both cores of a small machine.

mod install;
mod keda;
mod leaving;
mod load;
mod memory;
mod ready;
mod trouble;

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use selvage_tests::cluster::{self, Cluster, run};
use selvage_tests::installed::installed;
use selvage_tests::process::binary;

/// Builds images of these names in `folder`, and says what `tests/images/build` does of each.
pub(super) fn build(folder: &std::path::Path, names: &[&str], prefix: &str) -> Vec<String> {
    let binaries = binary("selvage-web").parent().expect("a folder").to_owned();
    let mut command = Command::new(cluster::top().join("tests/images/build"));
    command.args(["--prefix", prefix, "--tag", "test"]).arg(folder).args(names).env("SELVAGE_BIN", binaries);
    run(&mut command).lines().map(ToOwned::to_owned).collect()
}

/// The images that aren't ours, with what stands beside the shop.
fn others() -> Vec<&'static str> {
    let prometheus = installed(&["prometheus"], "a Prometheus beside the shop on the cluster");
    ["postgres", "jaeger"].into_iter().chain(prometheus.map(|_| "prometheus")).collect()
}

/// The cluster that most tests share, with all images; it ends with the process. `None` if there can be none here.
fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    let start = || {
        cluster::possible().then(|| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let others = others();
            let began = Instant::now();
            let cluster = std::thread::scope(|scope| {
                let images = scope.spawn(|| {
                    build(folder.path(), &super::images::OURS, "localhost/selvage");
                    build(folder.path(), &others, "localhost");
                });
                let cluster = Cluster::start("tests");
                images.join().expect("images");
                cluster
            });
            let names = super::images::OURS.iter().chain(&others);
            let archives: Vec<PathBuf> = names.map(|name| folder.path().join(format!("{name}.tar"))).collect();
            cluster.load(&archives);
            println!("a cluster with all images after {:.1} s", began.elapsed().as_secs_f64());
            cluster
        })
    };
    SHARED.get_or_init(start).as_ref()
}
