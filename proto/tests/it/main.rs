//! The API may grow, and nothing that was released may change under those who call it: `released.txt` lists each message,
//! field, enum value and rpc with its number and type. Whoever adds one adds it there too, by running this test with
//! `SELVAGE_RELEASE=1`; that only ever adds lines.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use prost_reflect::{DescriptorPool, EnumDescriptor, Kind, MessageDescriptor};

fn pool() -> DescriptorPool {
    DescriptorPool::decode(selvage_proto::DESCRIPTORS).unwrap()
}

fn messages(pool: &DescriptorPool) -> impl Iterator<Item = MessageDescriptor> {
    pool.all_messages().filter(|message| message.full_name().starts_with("selvage."))
}

fn enums(pool: &DescriptorPool) -> impl Iterator<Item = EnumDescriptor> {
    pool.all_enums().filter(|kind| kind.full_name().starts_with("selvage."))
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(kind) => kind.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

/// All that callers rely on, a line each.
fn surface() -> BTreeSet<String> {
    let pool = pool();
    let mut lines = BTreeSet::new();
    for message in messages(&pool) {
        lines.insert(format!("message {}", message.full_name()));
        for field in message.fields() {
            let (number, how) = (field.number(), field.cardinality());
            lines.insert(format!("field {} = {number}: {how:?} {}", field.full_name(), kind(&field.kind())));
        }
    }
    for kind in enums(&pool) {
        for value in kind.values() {
            lines.insert(format!("value {} = {}", value.full_name(), value.number()));
        }
    }
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let stream = |yes: bool| if yes { "stream " } else { "" };
        lines.insert(format!(
            "rpc {}({}{}) returns {}{}",
            method.full_name(),
            stream(method.is_client_streaming()),
            method.input().full_name(),
            stream(method.is_server_streaming()),
            method.output().full_name()
        ));
    }
    lines
}

#[test]
fn what_was_released_is_as_it_was() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("released.txt");
    let released: BTreeSet<String> =
        std::fs::read_to_string(&path).unwrap_or_default().lines().map(Into::into).collect();
    let now = surface();
    let gone: Vec<_> = released.difference(&now).collect();
    assert!(
        gone.is_empty(),
        "callers rely on these, and they are gone or changed: {gone:#?}\nkeep them and add new ones beside them"
    );
    let new: Vec<_> = now.difference(&released).collect();
    if new.is_empty() {
        return;
    }
    assert!(
        std::env::var("SELVAGE_RELEASE").as_deref() == Ok("1"),
        "not in {} yet: {new:#?}\nonce they are as they should stay, run this test with SELVAGE_RELEASE=1",
        path.display()
    );
    let all: String = now.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(path, all).unwrap();
}

#[test]
fn names_are_those_of_the_field() {
    let pool = pool();
    for kind in enums(&pool) {
        let zero = kind.default_value();
        assert!(
            zero.number() == 0 && zero.name().ends_with("_UNSPECIFIED"),
            "{}: zero means nothing",
            kind.full_name()
        );
    }
    for field in messages(&pool).flat_map(|message| message.fields().collect::<Vec<_>>()) {
        let name = field.name();
        let snake = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        assert!(snake, "{}: snake case", field.full_name());
        let price = ["price", "amount", "total", "subtotal", "tax", "fee"].contains(&name);
        let money = matches!(field.kind(), Kind::Message(message) if message.full_name() == "selvage.money.v1.Money");
        assert!(!price || money, "{}: money has its currency with it", field.full_name());
    }
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let (input, wanted) = (method.input(), format!("{}Request", method.name()));
        assert_eq!(input.name(), wanted, "{}: a request of its own, that can grow", method.full_name());
    }
}
