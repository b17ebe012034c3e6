//! What was tried, and what came out: a table.

use std::time::{Duration, Instant};

use super::super::load::Visit;

/// One trouble.
pub(super) struct Row {
    pub(super) what: String,
    /// From its beginning until it was undone.
    pub(super) lasted: Duration,
    /// Purchases that ended from its beginning until the shop was steady again.
    pub(super) bought: usize,
    pub(super) failed: Vec<String>,
    /// From the trouble's beginning to the end of the last purchase that failed.
    pub(super) failed_until: Option<Duration>,
    /// From when it was undone to that.
    pub(super) recovered: Duration,
    pub(super) slowest: Duration,
    /// Connections: the most, and what the chart allows.
    pub(super) backends: (i64, i64),
}

impl Row {
    /// Of the purchases that ended while it lasted, and until the shop was `steady`.
    pub(super) fn of(what: &str, began: Instant, undone: Instant, visits: &[Visit], backends: (i64, i64)) -> Self {
        let mut row = Self {
            what: what.to_owned(),
            lasted: undone - began,
            bought: 0,
            failed: Vec::new(),
            failed_until: None,
            recovered: Duration::ZERO,
            slowest: Duration::ZERO,
            backends,
        };
        for visit in visits {
            let Some((left, outcome)) = &visit.left else { continue };
            if *left < began {
                continue;
            }
            match outcome {
                Ok(_) => {
                    row.bought += 1;
                    row.slowest = row.slowest.max(*left - visit.began);
                }
                Err(why) => {
                    row.failed.push(why.clone());
                    row.failed_until = row.failed_until.max(Some(*left - began));
                    row.recovered = row.recovered.max(left.saturating_duration_since(undone));
                }
            }
        }
        row
    }

    pub(super) fn line(&self) -> String {
        let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} of {} |",
            self.what,
            seconds(self.lasted),
            self.bought,
            self.failed.len(),
            self.failed_until.map_or_else(|| "–".to_owned(), seconds),
            if self.failed.is_empty() { "–".to_owned() } else { seconds(self.recovered) },
            seconds(self.slowest),
            self.backends.0,
            self.backends.1,
        )
    }
}

/// As `k8s/troubles.md` has it.
pub(super) fn print(rows: &[Row]) {
    println!(
        "| trouble | lasted, s | bought meanwhile | failed requests | last of them after, s | … after its end, s | \
         slowest purchase, s | most connections |\n|---|---|---|---|---|---|---|---|"
    );
    for row in rows {
        println!("{}", row.line());
    }
}

/// What somebody met whose request failed, short enough to read.
pub(in super::super) fn short(why: &str) -> String {
    let mut text = String::new();
    let mut within = false;
    for letter in why.chars() {
        match letter {
            '<' => within = true,
            '>' => {
                within = false;
                text.push(' ');
            }
            _ if !within => text.push(letter),
            _ => {}
        }
    }
    let words: Vec<_> = text.split_whitespace().take(60).collect();
    words.join(" ")
}
