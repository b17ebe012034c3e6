//! `selvage trace ID`: one trace, fetched from Jaeger and printed as a tree.

mod fetch;
mod id;
mod jaeger;
mod print;
mod span;
mod sums;
#[cfg(test)]
mod tests;
mod tree;

use std::io::Write as _;

use fetch::Address;
use id::TraceId;

#[derive(clap::Args)]
pub(crate) struct Trace {
    /// The trace's id: 32 hexadecimal digits, or what has them in it: a traceparent, or the value of a page's Server-Timing
    /// header
    id: TraceId,
    /// Where Jaeger's API is
    #[arg(long, env = "SELVAGE_JAEGER", value_name = "URL", default_value = "http://localhost:16686")]
    jaeger: Address,
}

/// Prints the trace.
pub(crate) async fn run(trace: &Trace) -> anyhow::Result<()> {
    let answer = fetch::trace(&trace.jaeger, &trace.id).await?;
    let spans = jaeger::spans(&answer)?;
    let page = print::page(&trace.id, &spans);
    write!(std::io::stdout(), "{page}\n{}\n", trace.jaeger.page(&trace.id))?;
    Ok(())
}
