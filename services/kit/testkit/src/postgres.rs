//! A PostgreSQL server of the tests' own: one a test process, started at its first use.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{certificates, eventually, free_port, slow_disk};

/// The administrator's address of a server that is to be used instead of one of our own.
pub(crate) const GIVEN: &str = "SELVAGE_TEST_POSTGRES";
/// The folder of the PostgreSQL programs, `initdb` and `postgres`, that servers of our own are started with: for trying a given
/// version.
const PROGRAMS: &str = "SELVAGE_TEST_POSTGRES_BIN";

static SHARED: OnceCell<(String, Option<Server>)> = OnceCell::const_new();

/// The administrator's address of the server that this process's tests share.
pub(crate) async fn shared() -> String {
    let start = || async {
        if let Ok(url) = std::env::var(GIVEN) {
            return (url, None);
        }
        let server = Server::start(&[]).await;
        (server.url().to_owned(), Some(server))
    };
    SHARED.get_or_init(start).await.0.clone()
}

/// Whether there is a server to start, or one was given.
pub(crate) fn is_installed() -> bool {
    std::env::var_os(GIVEN).is_some() || programs().is_some()
}

/// The folder of PostgreSQL's programs: the given one, or the newest where there are several.
fn programs() -> Option<PathBuf> {
    let is_whole = |folder: &PathBuf| folder.join("postgres").is_file() && folder.join("initdb").is_file();
    if let Some(given) = std::env::var_os(PROGRAMS).map(PathBuf::from) {
        assert!(is_whole(&given), "{PROGRAMS}: {} has no initdb and postgres", given.display());
        return Some(given);
    }
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = packaged
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .collect();
    folders.sort();
    let on_path =
        std::env::var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    folders.into_iter().rev().map(|(_, path)| path).chain(on_path).find(is_whole)
}

/// A server. Its processes and its folder go with the value, or with the process that made it, even by SIGKILL.
pub struct Server {
    url: String,
    /// Reads the pipe whose other end is here; when that closes it stops the server and removes the folder.
    watchdog: Child,
    pipe: Option<ChildStdin>,
    folder: TempDir,
}

impl Server {
    /// Starts one with further `settings` (`name=value`) and waits until it answers.
    ///
    /// # Panics
    /// If it can't be started.
    pub async fn start(settings: &[&str]) -> Self {
        Self::start_in(folder(), None, None, settings).await
    }

    /// Starts one for which a flush of its disk takes `flush`, whatever this machine's takes; `None` where there is no compiler of C.
    ///
    /// # Panics
    /// If it can't be started.
    pub async fn start_on_slow_disk(flush: Duration, settings: &[&str]) -> Option<Self> {
        let folder = folder();
        let library = slow_disk::library(folder.path(), flush)?;
        Some(Self::start_in(folder, None, Some(&library), settings).await)
    }

    /// Starts a standby of `primary`, which follows it by streaming, and waits until it answers.
    ///
    /// # Panics
    /// If it can't be started.
    pub async fn start_standby(primary: &Self) -> Self {
        Self::start_in(folder(), Some(&primary.url), None, &[]).await
    }

    /// Starts one that offers TLS, with a certificate for `localhost` by an authority of its own; `None` if this machine has
    /// nothing to make certificates with.
    ///
    /// # Panics
    /// If it can't be started.
    pub async fn start_encrypted() -> Option<Self> {
        if !certificates::can_be_made() {
            return None;
        }
        let folder = folder();
        certificates::make(folder.path());
        let file = |name: &str| folder.path().join(name).display().to_string();
        let certificate = format!("ssl_cert_file={}", file(certificates::CERTIFICATE));
        let key = format!("ssl_key_file={}", file(certificates::KEY));
        Some(Self::start_in(folder, None, None, &["ssl=on", &certificate, &key]).await)
    }

    async fn start_in(folder: TempDir, primary: Option<&str>, preloaded: Option<&Path>, settings: &[&str]) -> Self {
        let programs = programs().expect("PostgreSQL is installed");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("the data folder");
        let user = own_by_unprivileged(folder.path());
        let port = free_port();
        let mut arguments = vec![
            format!("-D{}", data.display()),
            format!("-p{port}"),
            format!("-k{}", folder.path().display()),
            "-clisten_addresses=127.0.0.1".into(),
            "-cmax_connections=200".into(),
            // What is lost in a power cut of a test is no loss; a test that wants durability says so in its settings.
            "-cfsync=off".into(),
            "-csynchronous_commit=on".into(),
            "-cfull_page_writes=off".into(),
        ];
        arguments.extend(settings.iter().map(|setting| format!("-c{setting}")));
        let script = r#"
            umask 077
            run() { if [ -n "$AS" ]; then setpriv --reuid="$AS" --regid="$AS" --clear-groups -- "$@"; else "$@"; fi; }
            trap '' INT TERM
            cd "$FOLDER"
            if [ -n "$PRIMARY" ]; then
                run chmod 700 "$FOLDER/data"
                run "$PROGRAMS/pg_basebackup" -D "$FOLDER/data" -d "$PRIMARY" -R -c fast --no-sync >"$FOLDER/log" 2>&1
            else
                run "$PROGRAMS/initdb" -D "$FOLDER/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$FOLDER/log" 2>&1
            fi
            serve() { LD_PRELOAD="$PRELOADED" run "$PROGRAMS/postgres" "$@" </dev/null >>"$FOLDER/log" 2>&1 & }
            # Its own pid, from its own file: a shell's background job ignores signals, and so may what it started.
            stop() { kill "$1" "$(head -n 1 "$FOLDER/data/postmaster.pid")" 2>/dev/null; wait; }
            serve "$@"
            while read -r word; do
                case $word in
                    stop) stop -INT ;;
                    start) serve "$@" ;;
                    *) break ;;
                esac
            done
            stop -QUIT
            cd /
            rm -rf "$FOLDER"
        "#;
        let mut watchdog = Command::new("setsid")
            .args(["sh", "-c", script, "watchdog"])
            .args(&arguments)
            .env("FOLDER", folder.path())
            .env("PROGRAMS", &programs)
            .env("PRIMARY", primary.unwrap_or_default())
            .env("PRELOADED", preloaded.map(Path::as_os_str).unwrap_or_default())
            .env("AS", user.unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let pipe = watchdog.stdin.take();
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let server = Self { url, watchdog, pipe, folder };
        let what = format!("PostgreSQL starts; its log is {}", server.log().display());
        eventually(Duration::from_secs(60), &what, async || server.answers().await).await;
        server
    }

    /// Whether it takes a connection, whatever its certificate is.
    async fn answers(&self) -> bool {
        match PgConnection::connect(&format!("{}?sslmode=disable", self.url)).await {
            Ok(connection) => connection.close().await.is_ok(),
            Err(_) => false,
        }
    }

    /// The administrator's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        port_of(&self.url)
    }

    /// Ends the server as an administrator does: sessions are ended too. Waits until nobody answers.
    ///
    /// # Panics
    /// If it doesn't end within a minute.
    pub async fn stop(&mut self) {
        self.tell("stop");
        let gone = async || PgConnection::connect(&self.url).await.is_err();
        eventually(Duration::from_secs(60), "PostgreSQL ends", gone).await;
    }

    /// Starts it again, with what it stored. Waits until it answers.
    ///
    /// # Panics
    /// If it can't be started.
    pub async fn start_again(&mut self) {
        self.tell("start");
        eventually(Duration::from_secs(60), "PostgreSQL starts again", async || self.answers().await).await;
    }

    fn tell(&mut self, word: &str) {
        let pipe = self.pipe.as_mut().expect("there until it is dropped");
        writeln!(pipe, "{word}").expect("the watchdog reads");
    }

    /// Makes a primary of a standby. Waits until it is one.
    ///
    /// # Panics
    /// If it can't be done.
    pub async fn promote(&self) {
        self.run("SELECT pg_promote()").await;
    }

    /// Lets it take no writes any more in transactions that begin from now on, or take them again.
    ///
    /// # Panics
    /// If it can't be done.
    pub async fn set_read_only(&self, read_only: bool) {
        let value = if read_only { "on" } else { "off" };
        self.run(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}")).await;
        self.run("SELECT pg_reload_conf()").await;
        eventually(Duration::from_secs(60), "the setting is in force", async || {
            let mut session = PgConnection::connect(&self.url).await.expect("it answers");
            let shown: String = sqlx::query_scalar("SHOW default_transaction_read_only")
                .fetch_one(&mut session)
                .await
                .expect("a setting");
            session.close().await.expect("good-bye");
            shown == value
        })
        .await;
    }

    /// As an administrator, whatever new transactions may do.
    async fn run(&self, sql: &str) {
        let mut session = PgConnection::connect(&self.url).await.expect("it answers");
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql("SET default_transaction_read_only = off")
            .execute(&mut session)
            .await
            .expect("one's own setting");
        sqlx::raw_sql(sql).execute(&mut session).await.expect("an administrator's statement");
        session.close().await.expect("good-bye");
    }

    /// The file of the authority by which its certificate is, if it is encrypted.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join(certificates::AUTHORITY)
    }

    /// Gives it a certificate by another authority, whose file replaces the one before, and starts it again with that.
    ///
    /// # Panics
    /// If it can't be started.
    pub async fn renew_certificate(&mut self) {
        self.stop().await;
        certificates::make(self.folder.path());
        own_by_unprivileged(self.folder.path());
        self.start_again().await;
    }

    /// Gives it a certificate of X.509 version 1, as openssl made them by default for long, and starts it again with that.
    ///
    /// # Panics
    /// If it can't be started.
    pub async fn renew_certificate_as_of_old(&mut self) {
        self.stop().await;
        certificates::make_old(self.folder.path());
        own_by_unprivileged(self.folder.path());
        self.start_again().await;
    }

    /// The file that it logs to.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// One of the programs that came with it, `pgbench` say.
    ///
    /// # Panics
    /// If there is no PostgreSQL any more.
    pub fn program(&self, name: &str) -> PathBuf {
        programs().expect("PostgreSQL is installed").join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.watchdog.wait();
    }
}

/// The port in the address of a server.
pub(crate) fn port_of(url: &str) -> u16 {
    let at = url.rsplit_once(':').and_then(|(_, rest)| rest.split_once('/'));
    at.and_then(|(port, _)| port.parse().ok()).expect("a port")
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("selvage-postgres-").tempdir().expect("a temporary folder")
}

/// PostgreSQL refuses to run as root: its folder is given to `postgres`, or to `nobody` where there is none.
pub(crate) fn own_by_unprivileged(folder: &Path) -> Option<&'static str> {
    let root =
        std::fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0).unwrap_or(false);
    if !root {
        return None;
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    ["postgres", "nobody"].into_iter().find(|user| {
        let owned = Command::new("chown").arg("-R").arg(user).arg(folder).stderr(Stdio::null()).status();
        owned.is_ok_and(|status| status.success())
    })
}
