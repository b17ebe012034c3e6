//! `selvage seed`: products for trying the shop out at size.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use selvage_catalogue::{Planted, plant};
use selvage_context::clock::Clock;

use crate::catalogue::Catalogue;
use crate::cli::Seed;

/// Plants the products and prints what was done.
pub(crate) async fn seed(seed: &Seed) -> anyhow::Result<()> {
    let Catalogue { database, store } = Catalogue::open(&seed.into).await?;
    let began = Instant::now();
    let bar = bar(u64::from(seed.products));
    let observe = |planted: &Planted| bar.set_position(planted.done());
    let planted = plant(&store, usize::try_from(seed.products)?, Clock::system().now_ms(), observe).await;
    bar.finish_and_clear();
    database.close().await;
    let planted =
        planted.context("the planting stopped; what was written before is kept, and planting again goes on")?;
    writeln!(std::io::stdout(), "{}", summary(&planted, began.elapsed()))?;
    Ok(())
}

fn summary(planted: &Planted, took: Duration) -> String {
    let Planted { created, there, refused } = planted;
    let refused = match refused {
        0 => String::new(),
        count => format!(", {count} left out, since other products have SKUs of theirs"),
    };
    let rate = planted.done() as f64 / took.as_secs_f64().max(0.001);
    format!(
        "{} products in {:.1} s ({rate:.0} a second): {created} new, {there} there already{refused}",
        planted.done(),
        took.as_secs_f64()
    )
}

fn bar(products: u64) -> ProgressBar {
    let style = "{bar:40} {percent:>3} %  {human_pos} of {human_len} products, {eta} to go";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    // The bar hides itself where standard error is no terminal.
    ProgressBar::with_draw_target(Some(products), ProgressDrawTarget::stderr()).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_was_done_and_nothing_else() {
        let planted = Planted { created: 20, there: 5, refused: 0 };
        let text = summary(&planted, Duration::from_secs(5));
        assert_eq!(text, "25 products in 5.0 s (5 a second): 20 new, 5 there already");
        let text = summary(&Planted { refused: 1, ..planted }, Duration::from_secs(2));
        assert!(text.ends_with("5 there already, 1 left out, since other products have SKUs of theirs"), "{text}");
    }
}
