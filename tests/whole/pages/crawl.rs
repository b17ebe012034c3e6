//! Everything that the shop leads to from its first page, and how it says that there is nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use selvage_tests::http::{Answer, Client, Request};

use super::markup::Markup;
use super::{has_its_headers, sound, stocked};

/// Of the shop's products so many are looked at, in all their colours.
const MAX_PRODUCTS: usize = 60;
/// More addresses than these aren't asked for: links that lead to ever new ones would be a defect.
const MAX_ADDRESSES: usize = 4_000;
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// What the home page doesn't lead to by itself.
const FURTHER: [&str; 5] = [
    "/search?q=shirt&sort=price-up",
    "/search?q=linen+trousers&for=women",
    "/search?q=nothing+of+the+kind",
    "/c/shirts?size=M&size=L&colour=Ivory&stock=1&min=20&max=90&for=men&sort=price-down",
    "/c/coats?max=1",
];

#[derive(Default)]
struct Crawl {
    asked: BTreeSet<String>,
    queue: VecDeque<String>,
    /// The slugs of products that are looked at.
    products: BTreeSet<String>,
    pages: usize,
    largest: usize,
    drawings: usize,
    /// The products on each category's shelf.
    shelves: BTreeMap<String, BTreeSet<String>>,
}

impl Crawl {
    fn add(&mut self, address: &str) {
        let address = address.split('#').next().unwrap_or_default();
        if let Some(slug) = slug(address)
            && !self.products.contains(slug)
        {
            if self.products.len() == MAX_PRODUCTS {
                return;
            }
            self.products.insert(slug.to_owned());
        }
        if !address.is_empty() && self.asked.insert(address.to_owned()) {
            assert!(self.asked.len() <= MAX_ADDRESSES, "ever new addresses: {address}");
            self.queue.push_back(address.to_owned());
        }
    }

    fn look(&mut self, visitor: &mut Client, address: &str) {
        let answer = visitor.get(address);
        assert_eq!(answer.status, 200, "{address}");
        if address.starts_with("/drawn/") {
            self.drawings += 1;
            is_drawing(address, &answer);
        } else if address.starts_with("/assets/") {
            has_its_headers(address, &answer);
            assert_eq!(answer.header("cache-control"), Some(IMMUTABLE), "{address}");
        } else {
            self.pages += 1;
            self.largest = self.largest.max(answer.body.len());
            let page = sound(address, &answer);
            // A listing's later pages bear nothing but where they begin.
            let (path, query) = address.split_once('?').unwrap_or((address, "from="));
            if let Some(category) = path.strip_prefix("/c/").filter(|_| query.starts_with("from=")) {
                let cards = page.all("a").filter_map(|link| slug(link.get("href")?)).map(ToOwned::to_owned);
                self.shelves.entry(category.to_owned()).or_default().extend(cards);
            }
            for element in &page.elements {
                let is_link = ["a", "link", "script", "img"].contains(&element.name.as_str());
                for leads in [element.get("href"), element.get("src")].into_iter().flatten().filter(|_| is_link) {
                    self.add(leads);
                }
            }
        }
    }
}

fn slug(address: &str) -> Option<&str> {
    address.strip_prefix("/p/")?.split('?').next()
}

fn is_drawing(at: &str, answer: &Answer) {
    has_its_headers(at, answer);
    assert_eq!(answer.header("content-type"), Some("image/svg+xml"), "{at}");
    assert_eq!(answer.header("cache-control"), Some(IMMUTABLE), "{at}");
    let drawing = Markup::parse(answer.text()).unwrap_or_else(|wrong| panic!("{at}: {wrong}"));
    assert_eq!(drawing.elements[0].name, "svg", "{at}");
    for element in &drawing.elements {
        let closed = element.attributes.iter().all(|(name, value)| {
            !name.starts_with("on") && (name.starts_with("xmlns") || !value.contains("//")) && name != "style"
        });
        assert!(closed && element.name != "script", "{at}: {element:?}");
    }
}

#[test]
fn every_link_leads_to_a_sound_page_and_every_picture_is_drawn() {
    let shop = stocked();
    let mut visitor = shop.visitor();
    let mut crawl = Crawl::default();
    crawl.add("/");
    FURTHER.iter().for_each(|address| crawl.add(address));
    while let Some(address) = crawl.queue.pop_front() {
        crawl.look(&mut visitor, &address);
    }

    let home = sound("/", &visitor.get("/"));
    let tiles = home.all("a").filter_map(|link| {
        let category = link.get("href")?.strip_prefix("/c/")?;
        let said = link.text.strip_suffix(" pieces")?;
        let digits = said.len() - said.chars().rev().take_while(char::is_ascii_digit).count();
        Some((category.to_owned(), said[digits..].parse::<usize>().ok()?))
    });
    let told: BTreeMap<_, _> = tiles.collect();
    let found: BTreeMap<_, _> = crawl.shelves.iter().map(|(category, cards)| (category.clone(), cards.len())).collect();
    assert_eq!(told, found, "a category's pages together show as many products as it says");
    assert_eq!((told.len(), crawl.products.len()), (12, MAX_PRODUCTS));
    assert!(crawl.drawings > 300, "{} drawings", crawl.drawings);
    println!("crawled: {} pages, {} drawings; the largest page {} bytes", crawl.pages, crawl.drawings, crawl.largest);
}

#[test]
fn assets_are_kept_for_good_under_names_of_their_content() {
    let shop = stocked();
    let mut visitor = shop.visitor();
    let home = sound("/", &visitor.get("/"));
    let of = |name: &'static str, attribute: &'static str| home.all(name).filter_map(move |tag| tag.get(attribute));
    let assets: Vec<_> = of("link", "href").chain(of("script", "src")).collect();
    assert_eq!(assets.len(), 4, "{assets:?}");
    let drawing = of("img", "src").next().expect("a picture");
    for address in assets.iter().copied().chain([drawing, "/", "/c/shirts"]) {
        let plain = visitor.get(address);
        assert_eq!(plain.header("content-encoding"), None, "{address}");
        assert_eq!(plain.header("vary"), Some("accept-encoding"), "{address}");
        let packed = visitor.send(&Request::new("GET", address).with("accept-encoding", "br, gzip"));
        has_its_headers(address, &packed);
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{address}");
        assert_eq!(packed.header("cache-control"), plain.header("cache-control"), "{address}");
        // A gzip stream ends with the length of what is in it.
        let length = u32::from_le_bytes(packed.body[packed.body.len() - 4..].try_into().unwrap());
        let same = packed.body.starts_with(&[0x1f, 0x8b]) && usize::try_from(length).unwrap() == plain.body.len();
        assert!(same && packed.body.len() < plain.body.len(), "{address}: {length}, {}", plain.body.len());
    }
    for address in &assets {
        let [_, _, hash, name] = address.split('/').collect::<Vec<_>>()[..] else { panic!("{address}") };
        assert!(hash.len() == 12 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()), "{address}");
        let answer = visitor.get(&format!("/assets/0123456789ab/{name}"));
        assert_eq!(answer.status, 404, "another content isn't given under that name");
        assert_ne!(answer.header("cache-control"), Some(IMMUTABLE));
    }
}

#[test]
fn what_isnt_there_is_said_kindly() {
    let shop = stocked();
    let mut visitor = shop.visitor();
    // Pages of problems make no calls: they show the categories once these are known.
    visitor.get("/");
    for address in [
        "/nowhere",
        "/c/hats-for-horses",
        "/c/Shirts",
        "/c/shirts/",
        "/p/no-such-shirt",
        "/p/No_Such_Shirt",
        "/orders/7",
        "/orders/00000000-0000-0000-0000-000000000000",
        "/bag/everything",
    ] {
        let answer = visitor.get(address);
        assert_eq!(answer.status, 404, "{address}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{address}");
        let page = sound(address, &answer);
        assert!(page.text().contains("There is nothing on this hanger"), "{address}");
        let leads = |to: &str| page.all("a").any(|link| link.has("href", to));
        assert!(["/", "/search", "/c/shirts"].into_iter().all(leads), "{address}: where to go from here");
    }
    for (method, address, allowed) in [
        ("POST", "/", "GET,HEAD"),
        ("DELETE", "/bag", "GET,HEAD"),
        ("PUT", "/c/shirts", "GET,HEAD"),
        ("GET", "/bag/items", "POST"),
        ("GET", "/bag/lines", "POST"),
        ("GET", "/orders/00000000-0000-0000-0000-000000000000/cancel", "POST"),
        ("PATCH", "/checkout", "GET,HEAD,POST"),
        ("BREW", "/p/no-such-shirt", "GET,HEAD"),
    ] {
        let answer = visitor.send(&Request::new(method, address));
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {address}");
        sound(address, &answer);
    }
    let health = visitor.get("/healthz");
    assert_eq!((health.status, health.text()), (200, "ok\n"));
    let robots = visitor.get("/robots.txt");
    assert!(robots.status == 200 && robots.text().contains("Disallow: /bag"));
    let icon = visitor.get("/favicon.svg");
    assert_eq!((icon.status, icon.header("content-type")), (200, Some("image/svg+xml")));
    for answer in [health, robots, icon] {
        has_its_headers("a file", &answer);
    }
}
