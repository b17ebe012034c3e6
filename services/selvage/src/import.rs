//! `selvage import`: a feed of products into the catalogue, with a bar that shows how far it is.

use std::fs::File;
use std::io::{Cursor, Read as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use selvage_catalogue::import::{self as feed, Event, Format, Report};
use selvage_context::clock::Clock;

use crate::catalogue::Catalogue;
use crate::cli::Import;

/// How much of a feed is read to tell its format.
const BEGINNING_BYTES: u64 = 4096;
/// How many problems are printed. Further ones are counted, since nobody reads a million lines.
const TOLD_PROBLEMS: u64 = 200;

/// Imports the feed and prints what was done.
pub(crate) async fn import(import: &Import) -> anyhow::Result<()> {
    let path = &import.file;
    let named = || format!("the feed {} can't be read", path.display());
    let mut file = File::open(path).with_context(named)?;
    let size = file.metadata().with_context(named)?.len();
    let mut beginning = Vec::new();
    (&mut file).take(BEGINNING_BYTES).read_to_end(&mut beginning).with_context(named)?;
    let Some(format) = Format::detect(path, &beginning) else {
        bail!("{} is neither Shopify's product CSV (.csv) nor JSON Lines (.jsonl, one product a line)", path.display());
    };

    let Catalogue { database, store } = Catalogue::open(&import.into).await?;

    let began = Instant::now();
    let bar = bar(size);
    let mut told = 0;
    let observe = |event: Event<'_>| match event {
        Event::Progress(progress) => bar.set_position(progress.bytes),
        Event::Problem(problem) => {
            told += 1;
            if told <= TOLD_PROBLEMS {
                let field = if problem.field.is_empty() { String::new() } else { format!("{}: ", problem.field) };
                bar.suspend(|| complain(&format!("line {}: {field}{}", problem.line, problem.reason)));
            }
        }
    };
    let whole = Cursor::new(beginning).chain(file);
    let imported = feed::run(&store, whole, format, Clock::system().now_ms(), observe).await;
    bar.finish_and_clear();
    database.close().await;
    if told > TOLD_PROBLEMS {
        complain(&format!("… and {} problems more", told - TOLD_PROBLEMS));
    }
    let report =
        imported.context("the import stopped; what was written before is kept, and importing again goes on")?;
    writeln!(std::io::stdout(), "{}", summary(&report, began.elapsed()))?;
    let kept = report.created + report.updated + report.unchanged;
    ensure!(kept > 0 || report.failed == 0, "none of the feed's products could be imported");
    Ok(())
}

fn bar(bytes: u64) -> ProgressBar {
    let style = "{bar:40} {percent:>3} %  {bytes} of {total_bytes}, {eta} to go";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    // The bar hides itself where standard error is no terminal.
    ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr()).with_style(style)
}

fn complain(line: &str) {
    // Err: standard error is closed, so nobody reads it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn summary(report: &Report, took: Duration) -> String {
    let mut parts = Vec::new();
    for (count, what) in [
        (report.created, "new"),
        (report.updated, "changed"),
        (report.unchanged, "unchanged"),
        (report.hidden, "hidden by the feed"),
        (report.failed, "left out"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let products = if parts.is_empty() { "no products".to_owned() } else { format!("products: {}", parts.join(", ")) };
    let rate = report.rows as f64 / took.as_secs_f64().max(0.001);
    let problems = match report.problems {
        0 => String::new(),
        1 => "; 1 problem, above".to_owned(),
        count => format!("; {count} problems, above"),
    };
    format!("{} rows in {:.1} s ({rate:.0} a second); {products}{problems}", report.rows, took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_was_done_and_nothing_else() {
        let report = Report { rows: 20, created: 2, failed: 1, problems: 1, ..Report::default() };
        let text = summary(&report, Duration::from_secs(2));
        assert_eq!(text, "20 rows in 2.0 s (10 a second); products: 2 new, 1 left out; 1 problem, above");
        assert_eq!(summary(&Report::default(), Duration::from_secs(1)), "0 rows in 1.0 s (0 a second); no products");
    }
}
