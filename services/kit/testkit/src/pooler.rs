//! Debian's PgBouncer between a test and a server.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::postgres::{own_by_unprivileged, port_of};
use crate::{eventually, free_port};

/// A pooler. It goes with the value, or with the process that made it, even by SIGKILL.
pub struct Pooler {
    port: u16,
    /// Ends the pooler when the pipe is closed.
    watchdog: Child,
    pipe: Option<ChildStdin>,
    _folder: TempDir,
}

impl Pooler {
    /// Starts one before the server of `url`, for its administrator and the roles `others`, whose passwords are their names, with
    /// `settings` as they stand in its file, and waits until it takes connections. `None` if this machine has no PgBouncer,
    /// which is said; with `CI=true` it is a failure.
    ///
    /// # Panics
    /// If it can't be started.
    pub async fn start(url: &str, others: &[&str], settings: &[&str]) -> Option<Self> {
        if Command::new("pgbouncer").arg("--version").output().is_err() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true, and pgbouncer is not installed");
            eprintln!("!! SKIPPED: a pooler between us and PostgreSQL. To run it: apt-get install pgbouncer");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("selvage-pooler-").tempdir().expect("a temporary folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("its folder");
        let (server, port) = (port_of(url), free_port());
        let users = folder.path().join("users.txt");
        let others = others.iter().map(|role| format!("\"{role}\" \"{role}\"\n"));
        std::fs::write(&users, format!("\"postgres\" \"\"\n{}", others.collect::<String>())).expect("it is written");
        let file = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\n{}\n",
            users.display(),
            settings.join("\n")
        );
        std::fs::write(&file, text).expect("it is written");
        let script = r#"
            # In place of the shell that runs in the background, so that its process is the one that is ended.
            run() { if [ -n "$AS" ]; then exec setpriv --reuid="$AS" --regid="$AS" --clear-groups -- "$@"; else exec "$@"; fi; }
            trap '' INT TERM
            run pgbouncer "$FILE" </dev/null >"$LOG" 2>&1 &
            read -r word
            kill -KILL $!
            wait
        "#;
        let mut watchdog = Command::new("setsid")
            .args(["sh", "-c", script])
            .env("FILE", &file)
            .env("LOG", folder.path().join("log"))
            .env("AS", own_by_unprivileged(folder.path()).unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let pipe = watchdog.stdin.take();
        let answers = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        eventually(Duration::from_secs(20), "PgBouncer starts", answers).await;
        Some(Self { port, watchdog, pipe, _folder: folder })
    }

    /// A database's address by way of the pooler.
    pub fn url(&self, database: &str) -> String {
        database.replace(&format!(":{}/", port_of(database)), &format!(":{}/", self.port))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // The shell reads its end.
        self.pipe.take();
        let _ = self.watchdog.wait();
        let goes_on = || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        assert!(std::thread::panicking() || !goes_on(), "PgBouncer goes on");
    }
}
