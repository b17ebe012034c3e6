//! Certificates that a test trusts, and nobody else.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The file of the authority in a folder, in PEM, and of the certificate and the key of a server.
pub(crate) const AUTHORITY: &str = "authority.pem";
pub(crate) const CERTIFICATE: &str = "server.pem";
pub(crate) const KEY: &str = "server-key.pem";

/// Whether this machine can make any. Without openssl that is said; with `CI=true` it is a failure.
pub(crate) fn can_be_made() -> bool {
    let there = Command::new("openssl").arg("version").output().is_ok_and(|said| said.status.success());
    if !there {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true, and openssl is not installed");
        eprintln!("!! SKIPPED: PostgreSQL with TLS. To run it: apt-get install openssl");
    }
    there
}

/// Makes a new authority in `folder`, and by it a certificate for `localhost`; what was there before is replaced. Returns the
/// authority's file.
pub(crate) fn make(folder: &Path) -> PathBuf {
    made(folder, "subjectAltName=DNS:localhost")
}

/// The same of X.509 version 1, which has no extensions.
pub(crate) fn make_old(folder: &Path) -> PathBuf {
    made(folder, "")
}

fn made(folder: &Path, extensions: &str) -> PathBuf {
    let script = r#"
        set -e
        cd "$FOLDER"
        new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "$@"; }
        new -x509 -days 2 -subj "/CN=tests" -keyout authority-key.pem -out "$AUTHORITY" \
            -addext basicConstraints=critical,CA:TRUE
        new -subj "/CN=localhost" -keyout "$KEY" -out request.pem
        echo "$EXTENSIONS" >extensions
        # From 3.2 on it makes version 3 unless it is told otherwise.
        old=$(if [ -z "$EXTENSIONS" ] && openssl req -help 2>&1 | grep -q x509v1; then echo -x509v1; fi)
        with=$(if [ -n "$EXTENSIONS" ]; then echo -extfile extensions; fi)
        if [ -n "$old" ]; then
            openssl req -x509 $old -in request.pem -CA "$AUTHORITY" -CAkey authority-key.pem -days 2 -out "$CERTIFICATE"
        else
            openssl x509 -req -in request.pem -CA "$AUTHORITY" -CAkey authority-key.pem -CAcreateserial -days 2 \
                $with -out "$CERTIFICATE"
        fi
        version=$(if [ -n "$EXTENSIONS" ]; then echo 3; else echo 1; fi)
        openssl x509 -in "$CERTIFICATE" -noout -text | grep -q "Version: $version "
        rm -f authority-key.pem request.pem extensions authority.srl
        chmod 600 "$KEY"
    "#;
    let files = [("FOLDER", folder.as_os_str()), ("AUTHORITY", AUTHORITY.as_ref())];
    let files = files.into_iter().chain([("CERTIFICATE", CERTIFICATE.as_ref()), ("KEY", KEY.as_ref())]);
    let made =
        Command::new("sh").args(["-c", script]).envs(files).env("EXTENSIONS", extensions).output().expect("a shell");
    assert!(made.status.success(), "openssl makes certificates: {}", String::from_utf8_lossy(&made.stderr));
    folder.join(AUTHORITY)
}
