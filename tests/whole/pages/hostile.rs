//! What no page of ours would ask: every parameter with everything in it, forms with wrong numbers, requests that are no
//! HTTP. The shop answers in words, and gives back nothing that a browser would run.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use selvage_tests::http::{Answer, Request, encode};

use super::{bag, put_into_bag, sound, stocked};

/// Where something can be asked for.
const ASKED: [&str; 11] = [
    "/search?q=VALUE",
    "/search?q=shirt&size=VALUE&colour=VALUE&sort=VALUE",
    "/search?q=shirt&from=VALUE",
    "/c/shirts?size=VALUE&colour=VALUE&for=VALUE&stock=VALUE&sort=VALUE",
    "/c/shirts?min=VALUE&max=VALUE",
    "/c/shirts?from=VALUE&page=VALUE",
    "/c/shirts?VALUE",
    "/c/VALUE",
    "/p/VALUE",
    "/bag?notice=VALUE",
    "/orders?from=VALUE",
];
/// The same for somebody who has a bag.
const ASKED_BY_BUYERS: [&str; 5] =
    ["/checkout?country=VALUE", "/orders?from=VALUE", "/orders/VALUE", "/orders/VALUE/events", "/bag?notice=VALUE"];

/// What is asked for, in per cents.
fn asked() -> Vec<String> {
    let texts = [
        "\"><script>alert(1)</script>",
        "'><img src=x onerror=alert(1)>",
        "</title><svg onload=alert(1)>",
        "javascript:alert(1)//",
        "{{7*7}}${7*7}",
        "' OR 1=1; DROP TABLE product; --",
        "\" NEAR( OR AND NOT * ^ : - (",
        "%\\_[a]",
        "..//..//etc/passwd",
        "//elsewhere.example/",
        "a\r\nset-cookie: b=c",
        "\0",
        "shirt\0",
        "\u{202e}\u{feff}\u{200b}",
        "👗👗",
        "-1",
        "-9223372036854775808",
        "99999999999999999999999999",
        "1e308",
        "NaN",
        "٣",
        "bogus",
        "AAAA",
        "eyJhIjoxfQ",
    ];
    let encoded = texts.iter().map(|text| encode([("", *text)])[1..].to_owned());
    let broken = ["%", "%0", "%zz", "%ff", "%c3%28", "%ed%a0%80", "%00%ff", "&&&=&=", "&a=b&a=c;d"].map(str::to_owned);
    encoded.chain(broken).chain([300, 3_000, 7_000].map(|length| "a".repeat(length))).collect()
}

/// Neither our fault nor theirs to run: a page of ours, whatever it says.
fn is_harmless(at: &str, answer: &Answer) {
    let at: String = at.chars().take(200).collect();
    match answer.status {
        303 => {
            let to = answer.location();
            assert!(
                to.starts_with('/') && !to.starts_with("//") && answer.all("set-cookie").count() <= 1,
                "{at}: {to}"
            );
        }
        200 | 400 | 404 => {
            let page = sound(&at, answer);
            assert!(!page.text().contains("still placing"), "{at}: as if it were our failure");
        }
        status => panic!("{at}: {status}"),
    }
}

#[test]
fn whatever_is_asked_for_is_answered_in_words_and_never_run() {
    let shop = stocked();
    let (mut guest, mut buyer) = (shop.visitor(), shop.visitor());
    put_into_bag(&mut buyer, "/c/skirts?stock=1");
    for value in asked() {
        for path in ASKED {
            let address = path.replace("VALUE", &value);
            let answer = guest.get(&address);
            is_harmless(&address, &answer);
            let makes_no_sense = path.contains('?') && answer.status == 400;
            assert!(!makes_no_sense, "{address}: what makes no sense isn't asked for");
        }
        for path in ASKED_BY_BUYERS {
            let address = path.replace("VALUE", &value);
            is_harmless(&address, &buyer.get(&address));
        }
    }
    // It is shown as it was typed.
    for (typed, shown) in [("<b>x</b> & 'y' \"z\"", "<b>x</b> & 'y' \"z\""), ("  linen ", "linen"), ("50%_", "50%_")] {
        let answer = guest.get(&format!("/search?{}", encode([("q", typed)])));
        let page = sound(typed, &answer);
        assert_eq!(page.all("h1").next().unwrap().text, format!("“{shown}”"));
        assert_eq!(page.one("id", "q").get("value"), Some(shown));
        assert!(!answer.text().contains("<b>x"));
    }
    let many: Vec<_> = (0..500).map(|number| format!("size={number}&colour={number}")).collect();
    is_harmless("many values", &guest.get(&format!("/c/shirts?{}", many.join("&"))));
    let colour = "/c/shirts?colour=%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    assert!(sound(colour, &guest.get(colour)).text().contains("<script>alert(1)</script>"), "as text");
}

#[test]
fn forms_with_anything_in_them_change_nothing_that_they_may_not() {
    let shop = stocked();
    let mut buyer = shop.visitor();
    let (sku, product) = put_into_bag(&mut buyer, "/c/trousers?stock=1");
    let add = sound(&product, &buyer.get(&product)).form("/bag/items").set("sku", &sku);
    let wrong = ["-1", "0", "100", "2147483648", "-9223372036854775809", "1e3", "1.5", "NaN", "", "٣", "1\0", "+-1"];
    for quantity in wrong {
        let answer = buyer.post(&add.action, add.clone().set("quantity", quantity).pairs());
        assert!(answer.location().contains("notice=quantity"), "{quantity:?}");
        let page = sound("a product", &buyer.get(answer.location()));
        assert!(page.one("role", "alert").text.contains("1 to 99"), "{quantity:?}");
    }
    let line = bag(&mut buyer).form("/bag/lines").set("do", "update");
    for quantity in wrong.into_iter().filter(|quantity| *quantity != "0") {
        let answer = buyer.post(&line.action, line.clone().set("quantity", quantity).pairs());
        assert_eq!(answer.location(), "/bag?notice=quantity", "{quantity:?}");
    }
    assert_eq!(bag(&mut buyer).form("/bag/lines").get("quantity"), "1");
    let full = add.clone().set("quantity", "99");
    assert!(buyer.post(&add.action, full.pairs()).location().contains("notice=full"), "99 pieces a line at the most");

    let checkout = sound("/checkout", &buyer.get("/checkout")).form("/checkout").set("do", "place");
    let filled =
        ["email", "recipient", "line1", "city"].iter().fold(checkout, |form, name| form.set(name, "ada@x.org"));
    let parts: [(_, &[&str]); 10] = [
        (&add, &["sku"]),
        (&add, &["product", "colour"]),
        (&add, &["quantity"]),
        (&line, &["sku"]),
        (&line, &["etag", "do"]),
        (&filled, &["email", "recipient", "line1", "line2", "postal_code", "city"]),
        (&filled, &["country"]),
        (&filled, &["key", "currency"]),
        (&filled, &["etag", "total_standard", "total_express"]),
        (&filled, &["speed", "card", "do"]),
    ];
    for value in asked() {
        for (form, names) in parts {
            // A form that is right otherwise would buy.
            let form = form.clone().set("total_standard", "1");
            let mut body = encode(form.pairs().filter(|(name, _)| !names.contains(name)));
            names.iter().for_each(|name| body.push_str(&format!("&{name}={value}")));
            let request = Request::body(&form.action, "application/x-www-form-urlencoded", body.as_bytes());
            is_harmless(&format!("{} {names:?}={value}", form.action), &buyer.send(&request));
        }
    }
    for (elsewhere, leads_to) in [
        ("//elsewhere.example", "/bag"),
        ("https://elsewhere.example/", "/bag"),
        ("..", "/bag"),
        ("a\r\nlocation: https://elsewhere.example", "/bag"),
        ("shirt?colour=x", "/bag"),
    ] {
        let answer = buyer.post(&add.action, add.clone().without("sku").set("product", elsewhere).pairs());
        assert_eq!(answer.location(), leads_to, "{elsewhere}");
    }
    let lines: Vec<_> = bag(&mut buyer).forms("/bag/lines");
    assert!(lines.iter().all(|line| line.get("sku") == sku), "{lines:?}");
    assert!(sound("/orders", &buyer.get("/orders")).text().contains("Nothing yet."));
}

/// Sends these bytes and nothing else, and returns the status of the answer. They go by a bare connection, since hyper, by
/// which the other tests speak HTTP, rightly refuses to send what is no request.
fn status(shop: &str, bytes: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(shop.strip_prefix("http://").expect("http")).expect("the shop listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a bound");
    // Who is refused in the middle of a request still gets the answer.
    let _ = stream.write_all(bytes);
    let mut line = [0; "HTTP/1.1 400".len()];
    stream.read_exact(&mut line).expect("an answer within a minute");
    let status = std::str::from_utf8(&line).ok().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.parse().ok());
    status.unwrap_or_else(|| panic!("no HTTP: {}", String::from_utf8_lossy(&line)))
}

#[test]
fn what_is_too_large_or_no_http_is_refused() {
    let shop = stocked();
    let mut guest = shop.visitor();
    let form = |length: usize| Request::body("/bag/items", "application/x-www-form-urlencoded", &vec![b'a'; length]);
    // Without a token it would be refused anyway, if it were read.
    for (length, status) in [(64 * 1024, 403), (64 * 1024 + 1, 413), (1024 * 1024, 413)] {
        let answer = guest.send(&form(length));
        assert_eq!(answer.status, status, "{length} bytes");
        sound("a large form", &answer);
    }
    // One of more than 32 KiB is refused in the middle: `attacks::slow` has that.
    let long = format!("GET /search?q={} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a".repeat(30_000));
    assert_eq!(status(&shop.url, long.as_bytes()), 200, "a long search finds nothing");
    for (bytes, statuses) in [
        (&b"GET /search?q=<b>\xff\x00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"[..], &[400][..]),
        (b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &[200, 400, 404]),
        (b"GET / HTTP/1.1\r\nHost: a\r\nCookie: selvage-session=\xff\xfe; selvage-session=x; selvage=x\r\nConnection: close\r\n\r\n", &[200]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", &[400]),
        (b"HELLO\r\n\r\n", &[400]),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", &[400]),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", &[400]),
        (b"POST /bag/items HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\nConnection: close\r\n\r\n", &[400]),
        (
            b"POST /bag/items HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\
              Connection: close\r\n\r\n0\r\n\r\n",
            &[400],
        ),
    ] {
        let status = status(&shop.url, bytes);
        assert!(statuses.contains(&status), "{}: {status}", String::from_utf8_lossy(bytes));
    }
    let many = (0..200).fold(Request::new("GET", "/"), |request, number| request.with(&format!("x-{number}"), "y"));
    assert_eq!(guest.send(&many).status, 431, "headers without end");
    for name in ["selvage", "selvage-session"] {
        let cookie = format!("{name}={}", "a.".repeat(4_000));
        assert_eq!(guest.send(&Request::new("GET", "/bag").with("cookie", &cookie)).status, 200, "nobody's session");
    }
    assert_eq!(guest.get("/").status, 200, "and the shop is open as before");
}
