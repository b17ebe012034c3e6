//! What is pure, and where clock, randomness and transactions come in.

use super::nothing_found;
use super::source::{self, Source};

/// Files that may do what others may not, each with the reason.
type Exceptions<'a> = &'a [(&'a str, &'a str)];

/// The files that `allowed` names may use `words`; no other may, and each of those does.
fn only_in<'a>(
    sources: impl IntoIterator<Item = &'a Source>,
    allowed: Exceptions<'_>,
    uses: impl Fn(&Source) -> Vec<String>,
) -> Vec<String> {
    let mut findings = Vec::new();
    let mut met = Vec::new();
    for source in sources {
        let found = uses(source);
        match allowed.iter().find(|(path, _)| *path == source.path) {
            Some((path, _)) if !found.is_empty() => met.push(*path),
            Some(_) => {}
            None => findings.extend(found),
        }
    }
    let stale = allowed.iter().filter(|(path, _)| !met.contains(path));
    findings.extend(stale.map(|(path, why)| format!("{path} is on the list of exceptions ({why}), and needs none")));
    findings
}

/// What a domain uses that isn't pure.
fn impure<'a>(domain: impl IntoIterator<Item = &'a Source>) -> Vec<String> {
    let outside = [
        "sea_orm",
        "sea_query",
        "sqlx",
        "tonic",
        "prost",
        "hyper",
        "http",
        "axum",
        "tokio",
        "tokio_stream",
        "futures",
        "tracing",
        "rand",
        "new_v4",
        "now_v7",
        "SystemTime",
        "Instant",
        "Clock",
        "async",
        "selvage_boot",
        "selvage_outbox",
        "selvage_pool",
        "selvage_proto",
        "selvage_rpc",
    ];
    let inwards = ["crate::app", "crate::grpc", "crate::store", "crate::saga", "crate::migration", "crate::args"];
    let words = [outside.as_slice(), &inwards].concat();
    domain.into_iter().flat_map(|source| source.uses(&words)).collect()
}

#[test]
fn the_domain_is_pure() {
    let domain: Vec<_> = source::shipped().filter(|source| source.is_in("domain")).collect();
    assert!(domain.len() > 15, "the domains stand elsewhere now: {} files", domain.len());
    nothing_found(
        &impure(domain),
        "The domain decides, from values that it is given: fetch them outside and pass them in.",
    );
}

/// Files outside of a store that have a table of their own.
const ENTITIES: &[(&str, &str)] =
    &[("services/checkout/src/payment/test_provider.rs", "plays a system outside, with a table of its own")];

/// What speaks of a database outside of the stores.
fn outside_the_store<'a>(shipped: impl IntoIterator<Item = &'a Source>, allowed: Exceptions<'_>) -> Vec<String> {
    let shipped: Vec<_> = shipped.into_iter().collect();
    let grpc = shipped.iter().filter(|source| source.is_in("grpc") || source.stem() == "grpc");
    let words = ["sea_orm", "sea_query", "sqlx", "selvage_pool"];
    let mut findings: Vec<_> = grpc.flat_map(|source| source.uses(&words)).collect();
    let entities = shipped.iter().filter(|source| !source.path.starts_with("services/kit/") && !source.is_in("store"));
    findings.extend(only_in(entities.copied(), allowed, |source| source.uses(&["DeriveEntityModel"])));
    findings
}

#[test]
fn the_database_stays_in_the_store() {
    nothing_found(
        &outside_the_store(source::shipped(), ENTITIES),
        "Entities are the store's alone: give it a method for what you need, in the domain's types.",
    );
}

/// Transactions that are begun by hand, outside of the pool.
fn raw_transactions<'a>(rust: impl IntoIterator<Item = &'a Source>) -> Vec<String> {
    let raw = [
        ".begin()",
        ".begin_with_config(",
        ".begin_with_options(",
        ".transaction(",
        ".transaction_with_config(",
        "TransactionTrait",
        "TransactionSession",
    ];
    let rust = rust.into_iter().filter(|source| !source.path.starts_with("services/kit/pool/"));
    rust.flat_map(|source| source.uses(&raw)).collect()
}

#[test]
fn transactions_go_through_run_tx() {
    let findings = raw_transactions(source::ending(&[".rs"]));
    nothing_found(&findings, "Use Pool::run_tx(name, class, closure): it bounds, retries and measures transactions.");
}

/// Who may ask for the time of day.
const CLOCKS: &[(&str, &str)] = &[
    ("services/kit/context/src/clock.rs", "is the clock"),
    ("services/kit/telemetry/src/logs.rs", "stamps the lines of the log"),
    ("services/kit/telemetry/src/otlp/encode.rs", "writes down the moments that spans have"),
];
/// Who may measure time with a clock that no test can pause. Deadlines and waits are tokio's, which a test can.
const STOPWATCHES: &[(&str, &str)] = &[
    ("services/kit/testkit/src/wait.rs", "waits in real time, whatever the clock says"),
    ("services/selvage/src/import.rs", "tells a person how long an import took"),
    ("services/selvage/src/seed.rs", "tells a person how long planting took"),
];
/// Who may make a clock: whoever starts a process. Everybody else is given it.
const CLOCKMAKERS: &[(&str, &str)] = &[
    ("services/kit/boot/src/process.rs", "starts a process"),
    ("services/kit/testkit/src/lib.rs", "signs tokens for real processes"),
    ("services/deploy/src/stock.rs", "is a command of its own"),
    ("services/deploy/src/token.rs", "is a command of its own"),
    ("services/selvage/src/import.rs", "is a command of its own"),
    ("services/selvage/src/seed.rs", "is a command of its own"),
    ("services/selvage/src/token.rs", "is a command of its own"),
];

fn times_of_day(source: &Source) -> Vec<String> {
    source.uses(&["SystemTime", "now_utc", "now_local", "UNIX_EPOCH"])
}

fn stopwatches(source: &Source) -> Vec<String> {
    let code = source::code(&source.text);
    let std = |line: &str| line.contains("std::time::") && line.contains("Instant");
    let lines = code.lines().enumerate().filter(|(_, line)| std(line));
    lines.map(|(index, _)| format!("{}:{}: std::time::Instant", source.path, index + 1)).collect()
}

fn system_clocks(source: &Source) -> Vec<String> {
    source.uses(&["Clock::system"])
}

#[test]
fn the_time_of_day_is_passed_in() {
    let findings = [
        only_in(source::shipped(), CLOCKS, times_of_day),
        only_in(source::shipped(), STOPWATCHES, stopwatches),
        only_in(source::shipped(), CLOCKMAKERS, system_clocks),
    ];
    nothing_found(&findings.concat(), "Take a selvage_context::clock::Clock, or tokio::time::Instant for a deadline.");
}

/// Who may throw dice.
const DICE: &[(&str, &str)] = &[
    ("services/deploy/src/secrets/mod.rs", "makes passwords"),
    ("services/kit/pool/src/config.rs", "names this start of the process to the database, and is the chance of pauses"),
    ("services/kit/rpc/src/peers.rs", "spreads calls over peers"),
    ("services/kit/rpc/src/retry.rs", "spreads retries over time"),
    ("services/kit/testkit/src/database.rs", "names a test's database"),
    ("services/selvage/src/house.rs", "makes the link to the operations page that a start prints"),
    ("services/web/src/frame.rs", "masks the form's token anew on each page"),
    ("services/web/src/pages/bag.rs", "numbers a new guest"),
    ("services/web/src/pages/checkout.rs", "makes the form's idempotency key"),
    ("services/web/src/pages/operations.rs", "masks its forms' tokens"),
    ("services/web/src/session/mod.rs", "numbers those who only look"),
];

fn dice(source: &Source) -> Vec<String> {
    source.uses(&["rand::rng", "rand::random", "rand::fill", "OsRng", "getrandom", "new_v4()", "now_v7()"])
}

#[test]
fn randomness_is_passed_in() {
    nothing_found(
        &only_in(source::shipped(), DICE, dice),
        "Take the random value, or the function that makes it, as an argument (new_id: fn() -> Uuid).",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_what_breaks_it() {
        let domain = "services/cart/src/domain/line.rs";
        for text in ["use sea_orm::Value;", "async fn f() {}", "use crate::store::Store;", "f(|| Uuid::now_v7())"] {
            assert_eq!(impure(&[Source::new(domain, text)]).len(), 1, "{text}");
        }
        assert_eq!(impure(&[Source::new(domain, "// sea_orm\nuse crate::domain::price;")]), [""; 0]);

        let outside = |path: &str, text: &str| outside_the_store(&[Source::new(path, text)], &[]).len();
        assert_eq!(outside("services/cart/src/grpc/mod.rs", "use selvage_pool::Pool;"), 1);
        assert_eq!(outside("services/cart/src/grpc.rs", "use sea_orm::Value;"), 1);
        assert_eq!(outside("services/cart/src/app.rs", "#[derive(DeriveEntityModel)]"), 1);
        assert_eq!(outside("services/cart/src/store/lines.rs", "#[derive(DeriveEntityModel)] use sea_orm::Value;"), 0);

        for text in ["database.begin().await", "use sea_orm::TransactionTrait;", "database.transaction(|_| {})"] {
            assert_eq!(raw_transactions(&[Source::new("services/cart/src/store.rs", text)]).len(), 1, "{text}");
            assert_eq!(raw_transactions(&[Source::new("services/kit/pool/src/x.rs", text)]), [""; 0], "{text}");
        }

        let at = |text: &str| Source::new("services/cart/src/app.rs", text);
        assert_eq!(times_of_day(&at("let now = SystemTime::now();")).len(), 1);
        assert_eq!(stopwatches(&at("use std::time::{Duration, Instant};")).len(), 1);
        assert_eq!(stopwatches(&at("use std::time::Duration;\nuse tokio::time::Instant;")), [""; 0]);
        assert_eq!(system_clocks(&at("let clock = Clock::system();")).len(), 1);
        assert_eq!(dice(&at("let id = Uuid::new_v4();")).len(), 1);
    }

    #[test]
    fn an_exception_is_for_one_file_and_only_while_it_needs_one() {
        let path = "services/cart/src/app.rs";
        let throws = Source::new(path, "rand::random()");
        assert_eq!(only_in([&throws], &[(path, "why")], dice), [""; 0]);
        assert_eq!(only_in([&throws], &[], dice).len(), 1);
        assert_eq!(only_in([&Source::new(path, "")], &[(path, "why")], dice).len(), 1);
        assert_eq!(only_in([], &[(path, "why")], dice).len(), 1);
    }
}
