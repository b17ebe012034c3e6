//! The one place that knows how a fault is switched on.

use std::process::Command;
use std::time::Duration;

use selvage_identity::Role;
use selvage_tests::installed::installed;
use selvage_tests::shop::OneProcess;

/// What the shop is started with so that it takes faults.
pub(super) const ALLOWED: [&str; 2] = ["--faults", "allow"];

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
