//! Who calls and who selects: h2load and pgbench, as processes of their own.

use std::path::PathBuf;
use std::process::Stdio;

use bytes::{BufMut as _, Bytes};
use selvage_rpc::{Channel, Target};
use tokio::process::Command;

use crate::plain::Raw;

/// Of h2load; pgbench counts in whole seconds.
const SECONDS: &str = "1";
/// 8 connections of 8 calls at a time: enough for two cores to be busy throughout.
const CLIENTS: [&str; 6] = ["-t", "1", "-c", "8", "-m", "8"];

/// Whether all is there that is needed.
///
/// # Errors
/// What to install.
pub(crate) fn check() -> Result<(), &'static str> {
    if !selvage_testkit::engines().contains(&selvage_testkit::Engine::Postgres) || pgbench().is_none() {
        return Err("PostgreSQL and its pgbench are missing: apt-get install postgresql (15 or newer)");
    }
    on_path("h2load").map(drop).ok_or("h2load is missing: apt-get install nghttp2-client")
}

fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn pgbench() -> Option<PathBuf> {
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = packaged.map(|version| version.path().join("bin/pgbench")).filter(|path| path.is_file()).max();
    on_path("pgbench").or(packaged)
}

/// Makes one call, over and over.
pub(crate) struct Caller {
    path: &'static str,
    message: Bytes,
    token: String,
    folder: tempfile::TempDir,
}

impl Caller {
    pub(crate) fn new(path: &'static str, message: Vec<u8>, token: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut framed = vec![0];
        framed.put_u32(u32::try_from(message.len()).unwrap());
        framed.extend(&message);
        std::fs::write(folder.path().join("request"), framed).unwrap();
        Self { path, message: message.into(), token: token.to_owned(), folder }
    }

    /// The answer's message.
    pub(crate) async fn once(&self, port: u16) -> Bytes {
        let target: Target = format!("http://127.0.0.1:{port}").parse().unwrap();
        let mut grpc = tonic::client::Grpc::new(Channel::to(target));
        grpc.ready().await.unwrap();
        let request = selvage_rpc::with_token(&self.token, self.message.clone());
        let path = http::uri::PathAndQuery::from_static(self.path);
        grpc.unary(request, path, Raw).await.unwrap().into_inner()
    }

    /// Calls a second that `port` answers with a message of `bytes`.
    pub(crate) async fn rate(&self, port: u16, bytes: usize) -> f64 {
        let output = Command::new("h2load")
            .args(CLIENTS)
            .args(["-D", SECONDS, "-H", "content-type: application/grpc", "-H", "te: trailers", "-H"])
            .arg(format!("authorization: Bearer {}", self.token))
            .arg("-d")
            .arg(self.folder.path().join("request"))
            .arg(format!("http://127.0.0.1:{port}{}", self.path))
            .stderr(Stdio::inherit())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, …
        let count = |line: &str, word: &str| -> f64 {
            let line = text.lines().find(|found| found.starts_with(line)).unwrap_or_else(|| panic!("{text}"));
            let field =
                line.split([',', ':']).find(|field| field.trim().ends_with(word)).unwrap_or_else(|| panic!("{text}"));
            field.split_whitespace().next().unwrap().parse().unwrap()
        };
        let done = count("requests:", "succeeded");
        assert!(done > 0.0 && count("requests:", "failed") == 0.0, "{text}");
        // An error of gRPC has the status 200 as well, and no message. Calls under way at the end have sent a part.
        let data = text.lines().find(|line| line.starts_with("traffic:")).unwrap();
        let data = data.rsplit_once('(').unwrap().1.split_once(')').unwrap().0.parse::<f64>().unwrap();
        assert!(data >= done * (bytes as f64 + 5.0), "answers of {} bytes, not {bytes}: {text}", data / done);
        done / SECONDS.parse::<f64>().unwrap()
    }
}

/// Runs one statement, over and over.
pub(crate) struct Pgbench {
    url: String,
    connections: String,
    slug: String,
    folder: tempfile::TempDir,
}

impl Pgbench {
    /// `statement` has the one parameter `$1`, which is `slug`.
    pub(crate) fn new(url: &str, connections: u32, statement: &str, slug: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script"), format!("{};\n", statement.replace("$1", ":slug"))).unwrap();
        Self { url: url.into(), connections: connections.to_string(), slug: slug.into(), folder }
    }

    /// Statements a second.
    pub(crate) async fn rate(&self) -> f64 {
        let output = Command::new(pgbench().unwrap())
            .args(["-n", "-M", "prepared", "-j", "1", "-T", SECONDS, "-c", &self.connections, "-D"])
            .arg(format!("slug={}", self.slug))
            .arg("-f")
            .arg(self.folder.path().join("script"))
            .arg(&self.url)
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")).unwrap_or_else(|| panic!("{text}"));
        rate.split_whitespace().next().unwrap().parse().unwrap()
    }
}
