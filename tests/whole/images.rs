//! The images: small, and the same whenever they are built.

use std::process::Command;

use selvage_tests::cluster::shipped;

use super::cluster::build;

/// Ours: a service each, the operator, and the tools.
pub(super) const OURS: [&str; 7] = ["catalogue", "cart", "checkout", "delivery", "web", "operator", "tools"];
/// The most that the files of one may take, uncompressed: a node pulls each of them before the shop is ready.
const MAX_BYTES: u64 = 36 * 1024 * 1024;

#[test]
fn an_image_is_small_and_the_same_when_it_is_built_again() {
    // Only the binaries as they are shipped are small.
    if !shipped() {
        return;
    }
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let built = folders.each_ref().map(|folder| build(folder.path(), &OURS, "selvage"));
    assert_eq!(built[0].len(), OURS.len());
    assert_eq!(built[0], built[1], "the same digests");
    let mib = |bytes: u64| format!("{}.{}", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20);
    println!("{:24} {:>5} {:>11}   digest", "image", "MiB", "compressed");
    for (line, name) in built[0].iter().zip(OURS) {
        let [image, bytes, digest] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes: u64 = bytes.parse().unwrap();
        // What a registry would hold and a node pull: all but a KB of the archive is the layer.
        let archive = folders[0].path().join(format!("{name}.tar"));
        let compressed = Command::new("gzip").arg("-nc").arg(archive).output().unwrap().stdout.len();
        println!("{image:24} {:>5} {:>11}   {}", mib(bytes), mib(compressed.try_into().unwrap()), &digest[..19]);
        assert!(bytes <= MAX_BYTES, "{image} has {bytes} bytes of files: what has come into it?");
    }
}
