//! Somebody buys a shirt, in a real browser, with scripts and without, and watches it come.

use std::time::Duration;

use selvage_tests::browser::{self, Chromium, Tab};
use selvage_tests::shop::OneProcess;

pub(super) const DESKTOP: (i64, i64) = (1280, 900);
const TELEPHONE: (i64, i64) = (390, 844);
/// The parcel takes four steps of a second, on a machine that may be busy.
const DELIVERY: Duration = Duration::from_secs(60);

/// From the first page to the order's, in either way.
pub(super) async fn buy(tab: &Tab, name: &str) {
    tab.picture(&format!("{name}-1-home")).await;
    tab.follow(".aisles a[href='/c/shirts']", "/c/shirts").await;
    tab.picture(&format!("{name}-2-shirts")).await;
    tab.follow(".shelf .card:not(:has(.gone)) a", "/p/").await;
    tab.click(".sizes label:not(.gone) span").await;
    tab.picture(&format!("{name}-3-shirt")).await;
    tab.follow("#add", "notice=added").await;
    tab.follow("a.button[href='/bag']", "/bag").await;
    tab.picture(&format!("{name}-4-bag")).await;
    tab.follow("#checkout", "/checkout").await;
    tab.fill("#email", "ada@example.org").await;
    tab.fill("#recipient", "Ada Muster").await;
    tab.fill("#line1", "Ringstraße 1").await;
    tab.fill("#postal_code", "04109").await;
    tab.fill("#city", "Leipzig").await;
    tab.picture(&format!("{name}-5-checkout")).await;
    tab.follow("#place", "/orders/").await;
    tab.shows("Thank you, Ada.", DELIVERY).await;
    tab.picture(&format!("{name}-6-order")).await;
}

async fn with_shop(work: impl AsyncFnOnce(&Chromium, &OneProcess)) {
    let Some(chromium) = browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let shop = OneProcess::start(folder.path(), &["--carrier-step", "1s"]);
    work(&chromium, &shop).await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_buys_a_shirt_and_watches_its_way_without_touching_the_page() {
    with_shop(async |chromium, shop| {
        let tab = chromium.tab(&shop.url, DESKTOP, true).await;
        buy(&tab, "scripts").await;
        // The same page all the while: it moves by itself.
        let url = tab.url().await;
        tab.shows("Delivered. We hope it fits.", DELIVERY).await;
        assert_eq!(tab.url().await, url);
        tab.picture("scripts-7-delivered").await;
        tab.go(&format!("{}/bag", shop.url)).await;
        tab.shows("There is nothing in it yet.", DELIVERY).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_works_without_scripts_on_a_telephone() {
    with_shop(async |chromium, shop| {
        let tab = chromium.tab(&shop.url, TELEPHONE, false).await;
        buy(&tab, "no-scripts").await;
        tab.shows("Delivered. We hope it fits.", DELIVERY).await;
        tab.picture("no-scripts-7-delivered").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_card_leaves_the_form_filled_and_the_bag_packed() {
    with_shop(async |chromium, shop| {
        let tab = chromium.tab(&shop.url, DESKTOP, true).await;
        tab.follow(".shelf .card:not(:has(.gone)) a", "/p/").await;
        tab.click(".sizes label:not(.gone) span").await;
        tab.follow("#add", "notice=added").await;
        tab.go(&format!("{}/checkout", shop.url)).await;
        tab.fill("#email", "ada@example.org").await;
        tab.fill("#recipient", "Ada Muster").await;
        tab.fill("#line1", "Ringstraße 1").await;
        tab.fill("#postal_code", "04109").await;
        tab.fill("#city", "Leipzig").await;
        tab.click("input[name=card][value=tok_declines]").await;
        tab.click("#place").await;
        tab.shows("The card was declined, and nothing was charged.", DELIVERY).await;
        assert!(tab.text().await.contains("Ringstraße 1"), "the form is filled as it was");
        tab.picture("declined").await;
        tab.click("input[name=card][value=tok_succeeds]").await;
        tab.follow("#place", "/orders/").await;
    })
    .await;
}
