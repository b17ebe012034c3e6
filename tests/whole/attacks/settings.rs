//! Variables that are empty, mistyped, or ask for what isn't there.

use std::process::Command;

use selvage_testkit::Engine;
use selvage_tests::process::binary;

use super::Attacked;

/// What a process says that ends at once, since its key isn't there, if nothing else is wrong.
fn web(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(binary("selvage-web"));
    command
        .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .env("SELVAGE_ISSUER_KEY", "nowhere.key");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}

#[test]
fn what_makes_no_sense_is_refused_by_name_and_with_the_remedy() {
    for (name, value, remedy) in [
        ("RUST_LOG", "inof", "module=level"),
        ("RUST_LOG", "selvage_pool=loud", "module=level"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4317", "standard error"),
        ("OTEL_LOG_LEVEL", "debug", "RUST_LOG"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=%zz", "key=value"),
        ("SELVAGE_SECURE_COOKIES", "maybe", "--secure-cookies"),
        ("SELVAGE_MAX_CONNECTIONS", "0", "--max-connections"),
    ] {
        let said = web(&[(name, value)]);
        assert!((said.contains(name) || said.contains(remedy)) && said.contains(remedy), "{name}={value}: {said}");
        assert!(!said.contains("nowhere.key"), "{name}={value} comes first: {said}");
    }
}

#[test]
fn an_empty_variable_is_an_unset_one_and_a_flag_may_be_one() {
    for variables in [
        &[("SELVAGE_MAX_CONNECTIONS", ""), ("SELVAGE_OPERATOR", ""), ("SELVAGE_THREADS", " "), ("RUST_LOG", "")][..],
        &[("SELVAGE_SECURE_COOKIES", "1"), ("SELVAGE_TRUSTED_PROXY", "0")],
        &[("SELVAGE_SECURE_COOKIES", ""), ("SELVAGE_TRUSTED_PROXY", "true"), ("OTEL_LOG_LEVEL", "")],
    ] {
        let said = web(variables);
        assert!(said.contains("nowhere.key"), "{variables:?}: only its key is missing: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_filter_of_the_log_silences_nothing() {
    let empty = |mut command: Command| {
        command.env("RUST_LOG", "");
        command
    };
    // It says that it listens, which is waited for.
    let attacked = Attacked::start_by(Engine::Sqlite, &[], empty).await;
    assert!(attacked.service.process.output().contains("\"listening\""));
}
