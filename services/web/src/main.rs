//! `selvage-web`: the shop's pages in a process of their own.

use std::process::ExitCode;

use clap::Parser as _;
use selvage_boot::{Life, listen, read_issuer_key};
use selvage_context::clock::Clock;
use selvage_web::App;
use selvage_web::args::Args;

/// Where its metrics are unless told otherwise.
const METRICS_PORT: u16 = 9468;

fn main() -> ExitCode {
    let args = Args::parse();
    selvage_boot::run("selvage-web", "info", None, async move {
        let life = Life::new();
        life.end_at_signal()?;
        let key = read_issuer_key(&args.issuer_key)?;
        let listener = listen::tcp(args.listen, "--listen").await?;
        args.metrics.serve(METRICS_PORT, &life).await?;
        let app = App::new(args.settings(), args.peers(), key, Clock::system(), life.clone());
        tracing::info!(address = %listener.local_addr()?, "serving");
        selvage_web::serve(listener, app, &life).await?;
        life.drain().await
    })
}
