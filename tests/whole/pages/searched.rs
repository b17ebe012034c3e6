//! Searches, as people type them.

use selvage_tests::http::Client;

use super::{sound, stocked};

#[test]
fn a_search_says_what_it_did_otherwise_than_it_was_told() {
    let shop = stocked();
    let mut visitor = Client::new(&shop.url);
    for (path, said) in [
        ("/search?q=hoodies", None),
        ("/search?q=hoodie+for+women", None),
        ("/search?q=sweater", None),
        ("/search?q=trosers", Some("We looked for “trousers”: nothing has what you typed.")),
        ("/search?q=zeppelin+hoodie", Some("This is what we found without “zeppelin”.")),
    ] {
        let page = sound(path, &visitor.get(path));
        assert!(page.all("li").any(|item| item.has("class", "card")), "{path}: {}", page.text());
        let text = page.text();
        match said {
            Some(said) => assert!(text.contains(said), "{path}: {text}"),
            None => assert!(!text.contains("We looked for") && !text.contains("found without"), "{path}: {text}"),
        }
    }
    let page = sound("/search?q=zeppelin", &visitor.get("/search?q=zeppelin"));
    assert!(page.text().contains("We have nothing by those words."));
}
