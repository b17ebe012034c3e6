//! The kit knows no shop: what is sold, and by which services, are words that only services use.

use super::nothing_found;
use super::source;

/// Words of the shop. "Order" has its other meanings ("in order", ORDER BY), so only its forms that have one count.
const WORDS: &[&str] = &[
    "bag",
    "bags",
    "buyer",
    "buyers",
    "cart",
    "carts",
    "catalogue",
    "checkout",
    "delivery",
    "garment",
    "order_id",
    "orders",
    "parcel",
    "parcels",
    "payment",
    "payments",
    "product",
    "products",
    "shipment",
    "shipments",
    "sku",
    "skus",
];

/// A line without its comment; an address has no white space before its slashes.
fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    line.match_indices("//").find(begins).map_or(line, |(at, _)| &line[..at])
}

/// The words in names and texts of a program, each with its line: `OrderedCart`, `cart_id` and "the cart" alike. What a
/// comment tells for an example, and what the file's own tests play with, binds nobody.
fn found(text: &str) -> Vec<(usize, String)> {
    let program = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = Vec::new();
    for (index, line) in program.lines().enumerate() {
        let line = without_comment(line);
        if line.to_lowercase().contains("order_id") {
            found.push((index + 1, "order_id".to_owned()));
        }
        for name in line.split(|letter: char| !letter.is_alphanumeric()) {
            let words = parts(name);
            found.extend(words.into_iter().filter(|word| WORDS.contains(&word.as_str())).map(|word| (index + 1, word)));
        }
    }
    found
}

/// The words of a name in camel case, small.
fn parts(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut was_small = false;
    for letter in name.chars() {
        if words.is_empty() || (letter.is_uppercase() && was_small) {
            words.push(String::new());
        }
        was_small = letter.is_lowercase() || letter.is_numeric();
        words.last_mut().expect("one was begun").extend(letter.to_lowercase());
    }
    words
}

#[test]
fn the_kit_has_no_word_of_the_shop() {
    let kit: Vec<_> = source::shipped().filter(|source| source.path.starts_with("services/kit/")).collect();
    assert!(kit.len() > 60, "the kit stands elsewhere now: {} files", kit.len());
    let findings = kit.into_iter().flat_map(|source| {
        found(&source.text).into_iter().map(|(line, word)| format!("{}:{line}: {word}", source.path))
    });
    let findings: Vec<_> = findings.collect();
    nothing_found(
        &findings,
        "The kit is for any service: let the service say it, as an argument or a constant of its trait.",
    );
}

#[test]
fn words_are_found_in_names_and_texts_and_not_in_comments_and_tests() {
    let text = "// a cart\nlet cart_id = OrderedCart::new(\"the bag\"); // of a buyer\nfn shipments() {}\n\
                let url = \"http://catalogue:1\"; sort(by_order, Ordering::Less); // in order\nlet order_id = 1;\n\
                #[cfg(test)]\nmod tests {\n    let checkout = 1;\n}\n";
    let seen: Vec<_> = found(text).into_iter().map(|(line, word)| format!("{line} {word}")).collect();
    assert_eq!(seen, ["2 cart", "2 cart", "2 bag", "3 shipments", "4 catalogue", "5 order_id"]);
}
