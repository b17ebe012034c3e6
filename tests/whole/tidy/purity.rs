//! What is pure, and where clock, randomness and transactions come in.

use super::nothing_found;
use super::source::{self, Source};

/// The files that `allowed` names may use `words`; no other may, and each of those does.
fn only_in<'a>(
    sources: impl Iterator<Item = &'a Source>,
    allowed: &[(&str, &str)],
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

#[test]
fn the_domain_is_pure() {
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
    let domain: Vec<_> = source::shipped().filter(|source| source.is_in("domain")).collect();
    assert!(domain.len() > 15, "the domains stand elsewhere now: {} files", domain.len());
    let words = [outside.as_slice(), &inwards].concat();
    let findings: Vec<_> = domain.iter().flat_map(|source| source.uses(&words)).collect();
    nothing_found(&findings, "The domain decides, from values that it is given: fetch them outside and pass them in.");
}

#[test]
fn the_database_stays_in_the_store() {
    let grpc = source::shipped().filter(|source| source.is_in("grpc") || source.stem() == "grpc");
    let words = ["sea_orm", "sea_query", "sqlx", "selvage_pool"];
    let mut findings: Vec<_> = grpc.flat_map(|source| source.uses(&words)).collect();
    let entities =
        source::shipped().filter(|source| !source.path.starts_with("services/kit/") && !source.is_in("store"));
    let allowed =
        [("services/checkout/src/payment/test_provider.rs", "plays a system outside, with a table of its own")];
    findings.extend(only_in(entities, &allowed, |source| source.uses(&["DeriveEntityModel"])));
    nothing_found(
        &findings,
        "Entities are the store's alone: give it a method for what you need, in the domain's types.",
    );
}

#[test]
fn transactions_go_through_run_tx() {
    let raw = [
        ".begin()",
        ".begin_with_config(",
        ".begin_with_options(",
        ".transaction(",
        ".transaction_with_config(",
        "TransactionTrait",
        "TransactionSession",
    ];
    let rust = source::ending(&[".rs"]).filter(|source| !source.path.starts_with("services/kit/pool/"));
    let findings: Vec<_> = rust.flat_map(|source| source.uses(&raw)).collect();
    nothing_found(&findings, "Use Pool::run_tx(name, class, closure): it bounds, retries and measures transactions.");
}

#[test]
fn the_time_of_day_is_passed_in() {
    let allowed = [
        ("services/kit/context/src/clock.rs", "is the clock"),
        ("services/kit/telemetry/src/logs.rs", "stamps the lines of the log"),
        ("services/kit/telemetry/src/otlp/encode.rs", "writes down the moments that spans have"),
    ];
    let words = ["SystemTime", "now_utc", "now_local", "UNIX_EPOCH"];
    let mut findings = only_in(source::shipped(), &allowed, |source| source.uses(&words));
    // Deadlines and waits are tokio's, which a test can pause; std's can't be.
    let allowed = [
        ("services/kit/testkit/src/wait.rs", "waits in real time, whatever the clock says"),
        ("services/selvage/src/import.rs", "tells a person how long an import took"),
    ];
    findings.extend(only_in(source::shipped(), &allowed, |source| {
        let code = source::code(&source.text);
        let std = |line: &str| line.contains("std::time::") && line.contains("Instant");
        let lines = code.lines().enumerate().filter(|(_, line)| std(line));
        lines.map(|(index, _)| format!("{}:{}: std::time::Instant", source.path, index + 1)).collect()
    }));
    // Who starts a process makes its clock; everybody else is given it.
    let allowed = [
        ("services/kit/boot/src/process.rs", "starts a process"),
        ("services/kit/testkit/src/lib.rs", "signs tokens for real processes"),
        ("services/selvage/src/import.rs", "is a command of its own"),
        ("services/selvage/src/token.rs", "is a command of its own"),
    ];
    findings.extend(only_in(source::shipped(), &allowed, |source| source.uses(&["Clock::system"])));
    nothing_found(&findings, "Take a selvage_context::clock::Clock, or tokio::time::Instant for a deadline.");
}

#[test]
fn randomness_is_passed_in() {
    let allowed = [
        ("services/kit/pool/src/config.rs", "names this start of the process to the database"),
        ("services/kit/pool/src/connect.rs", "spreads attempts to connect, and the ends of connections, over time"),
        ("services/kit/pool/src/listen.rs", "spreads the attempts to listen again over time"),
        ("services/kit/rpc/src/peers.rs", "spreads calls over peers"),
        ("services/kit/rpc/src/retry.rs", "spreads retries over time"),
        ("services/kit/testkit/src/database.rs", "names a test's database"),
        ("services/web/src/frame.rs", "masks the form's token anew on each page"),
        ("services/web/src/pages/bag.rs", "numbers a new guest"),
        ("services/web/src/pages/checkout.rs", "makes the form's idempotency key"),
        ("services/web/src/pages/operations.rs", "masks its forms' tokens, and makes the nonces of its cookies"),
        ("services/web/src/session.rs", "numbers those who only look"),
    ];
    let words = ["rand::rng", "rand::random", "rand::fill", "OsRng", "getrandom", "new_v4()", "now_v7()"];
    let findings = only_in(source::shipped(), &allowed, |source| source.uses(&words));
    nothing_found(
        &findings,
        "Take the random value, or the function that makes it, as an argument (new_id: fn() -> Uuid).",
    );
}
