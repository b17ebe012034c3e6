//! A shop whose goods come from a feed that nobody looked through: photographs from elsewhere, and scripts in it.

use std::process::Command;

use selvage_tests::http::Client;
use selvage_tests::process::binary;
use selvage_tests::shop::OneProcess;

use super::purchase::order;
use super::{put_into_bag, sound, sound_with};

const FEED: &str = r#"Handle,Title,Body (HTML),Type,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Inventory Qty,Image Src
harbour-shirt,"Harbour <b>Shirt</b> & ""Co""","<p onclick=""steal()"">Soft <strong>cotton</strong>.</p><script>steal()</script><style>p{}</style><img src=x onerror=steal()><a href=""javascript:steal()"">More</a><iframe src=""https://elsewhere.example""></iframe>",Shirts,Size,M,HARBOUR-M,49.95,5,https://photos.example/harbour.jpg?w=1&h=2
harbour-shirt,,,,,,,,,https://photos.example/harbour-back.jpg
plain-coat,Plain Coat,<p>Plain.</p>,Coats,Size,M,PLAIN-M,29.95,5,http://photos.example/plain.jpg
"#;
const FRONT: &str = "https://photos.example/harbour.jpg?w=1&h=2";
const BACK: &str = "https://photos.example/harbour-back.jpg";

#[test]
fn an_imported_product_shows_its_photograph_and_no_script_and_is_brought_to_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let (feed, data) = (folder.path().join("feed.csv"), folder.path().join("data"));
    std::fs::write(&feed, FEED).unwrap();
    let done = Command::new(binary("selvage")).arg("import").arg(&feed).arg("--data").arg(&data).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("2 new"), "{said}{}", String::from_utf8_lossy(&done.stderr));
    let shop = OneProcess::start(&data, &["--carrier-step", "100ms"]);
    let mut visitor = Client::new(&shop.url);
    let is_photo = |address: &str| [FRONT, BACK].contains(&address);

    let answer = visitor.get("/p/harbour-shirt");
    assert_eq!(answer.status, 200);
    let page = sound_with("/p/harbour-shirt", &answer, is_photo);
    assert_eq!(page.all("h1").next().unwrap().text, "Harbour <b>Shirt</b> & \"Co\"");
    let look = |image: &&super::markup::Element| page.within(image, "div", |part| part.has("class", "look"));
    let images: Vec<_> = page.all("img").filter(look).collect();
    let [drawn, photo, back] = images[..] else { panic!("{images:?}") };
    assert!(drawn.get("src").unwrap().starts_with("/drawn/shirt.") && drawn.get("alt").unwrap().contains("Harbour"));
    // Above the drawing, which is seen where the photograph doesn't load; and its site isn't told who looks.
    assert!(photo.has("src", FRONT) && photo.has("class", "photo") && photo.has("referrerpolicy", "no-referrer"));
    assert_eq!(photo.around, drawn.around);
    assert!(back.has("src", BACK) && back.has("referrerpolicy", "no-referrer"));
    let words = page.one("class", "words");
    assert_eq!(words.text, "Soft cotton.More");
    assert!(answer.text().contains("<p>Soft <strong>cotton</strong>.</p>More</div>"), "its structure is kept");
    assert!(!answer.text().contains("steal") && !answer.text().contains("elsewhere.example"));

    let plain = sound("/p/plain-coat", &visitor.get("/p/plain-coat"));
    assert_eq!(plain.all("img").count(), 1, "no photograph without https, only the drawing");
    for address in ["/", "/c/shirts", "/search?q=harbour", "/search?q=co"] {
        let page = sound_with(address, &visitor.get(address), is_photo);
        assert!(page.text().contains("Harbour <b>Shirt</b> & \"Co\""), "{address}");
    }
    for other in ["/c/dresses", "/p/oxford-shirt"] {
        assert_eq!(visitor.get(other).status, 404, "{other}: the shop isn't stocked with goods that aren't its own");
    }

    let (sku, _) = put_into_bag(&mut visitor, "/search?q=plain");
    assert_eq!(sku, "PLAIN-M");
    let placed = order(&mut visitor);
    let path = placed.split('?').next().unwrap();
    // The stream ends where the parcel's way does.
    let events = visitor.get(&format!("{path}/events"));
    let last = events.text().split("event: moved").last().unwrap_or_default();
    assert!(last.contains("Delivered. We hope it fits."), "{}", events.text());
    let page = sound(path, &visitor.get(path));
    assert!(page.text().contains("Delivered. We hope it fits.") && page.forms(&format!("{path}/cancel")).is_empty());
}
