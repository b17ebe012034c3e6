//! The one place that knows how a fault is switched on.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use selvage_identity::Role;
use selvage_tests::installed::installed;
use selvage_tests::process::{Process, binary};
use selvage_tests::shop::OneProcess;

/// The whole shop in one process, started so that it takes faults, with further variables in its environment.
pub(super) fn shop(folder: &Path, environment: &[(&str, &str)]) -> OneProcess {
    let mut command = Command::new(binary("selvage"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--carrier-step", "200ms"]);
    command.args(["--faults", "allow"]).arg("--data").arg(folder).envs(environment.iter().copied());
    OneProcess::of(Process::start(&mut command), folder)
}

/// Holds all connections of a pool, with more callers waiting, for `bound`. Says whether it could be asked for here.
pub(super) fn hold_connections(shop: &OneProcess, pool: &str, bound: Duration) -> bool {
    let Some(program) = installed(&["grpcurl"], "the pool alert under a real fault") else { return false };
    let token = shop.tokens().of(Role::Admin, "tests");
    let request = serde_json::json!({
        "kind": "HELD_CONNECTION", "target": pool, "duration": format!("{}s", bound.as_secs()),
    });
    let output = Command::new(program)
        .args(["-plaintext", "-H", &format!("authorization: Bearer {token}"), "-d", &request.to_string()])
        .args([shop.grpc.trim_start_matches("http://"), "selvage.operations.v1.Operations/StartFault"])
        .output()
        .expect("grpcurl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}
