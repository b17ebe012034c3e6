//! A shop with more products than it has from the first, for a trial at size.

use std::path::Path;
use std::process::{Command, Output};

use selvage_tests::http::Client;
use selvage_tests::process::binary;
use selvage_tests::shop::OneProcess;

use super::sound;

/// The last of 500 products; it isn't one of those that a shop has from the first.
const LAST: (&str, &str) = ("rowan-camden-maxi-coat", "Rowan Camden Maxi Coat");

fn seed(data: &Path, products: &str) -> Output {
    Command::new(binary("selvage")).args(["seed", "--products", products, "--data"]).arg(data).output().unwrap()
}

#[test]
fn as_many_products_as_a_trial_wants_are_planted_once_and_sold() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (products, planted) in
        [("500", "500 new, 0 there already"), ("500", "0 new, 500 there already"), ("510", "10 new, 500 there already")]
    {
        let done = seed(&data, products);
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
        assert!(said.starts_with(&format!("{products} products in ")) && said.trim_end().ends_with(planted), "{said}");
    }

    // The shop adds none of those that it has from the first: they are there.
    let shop = OneProcess::start(&data, &[]);
    let mut visitor = Client::new(&shop.url);
    let (slug, name) = LAST;
    let found = visitor.get(&format!("/search?q={}", slug.replace('-', "+")));
    let page = sound("/search", &found);
    assert!(page.all("a").any(|link| link.has("href", &format!("/p/{slug}"))), "{}", page.text());
    let path = format!("/p/{slug}");
    let page = sound(&path, &visitor.get(&path));
    assert_eq!(page.all("h1").next().unwrap().text, name);
}

#[test]
fn a_number_of_products_that_cannot_be_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (products, why) in [("0", "1..=1000000"), ("1000001", "1..=1000000"), ("many", "invalid digit")] {
        let done = seed(&data, products);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && said.contains("--products") && said.contains(why), "{products}: {said}");
    }
    assert!(!data.exists());
}
