//! What is counted of tokens.

use std::sync::LazyLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge};

static REFUSED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    opentelemetry::global::meter("selvage.identity")
        .u64_counter("selvage.identity.refused")
        .with_unit("{token}")
        .with_description("Tokens that were refused, by what is wrong with them.")
        .build()
});

/// By how many seconds the clock of who signed the newest token was ahead of ours; 0 if it wasn't. A token that is a while
/// old when it is first seen hides as much of the difference.
pub(crate) static AHEAD: LazyLock<Gauge<u64>> = LazyLock::new(|| {
    opentelemetry::global::meter("selvage.identity")
        .u64_gauge("selvage.identity.ahead")
        .with_unit("s")
        .with_description(
            "Seconds by which the clock of who signed the last new token was ahead of ours; 0 if it wasn't.",
        )
        .build()
});

/// What can be wrong with a token: the reason that its sender is told, and what it is counted as.
const WRONG: [(&str, &str); 3] =
    [("TOKEN_EXPIRED", "expired"), ("TOKEN_AHEAD", "ahead"), ("TOKEN_TOO_LONG", "too_long")];
/// A token that isn't signed as it must be, or is none.
const INVALID: &str = "invalid";

/// Counts a token that was refused with this reason.
pub(crate) fn count_refused(reason: Option<&str>) {
    let wrong = WRONG.iter().find(|(told, _)| Some(*told) == reason).map_or(INVALID, |(_, wrong)| wrong);
    REFUSED.add(1, &[KeyValue::new("reason", wrong)]);
}

/// Begins the series, so that they are there before the first token.
pub(crate) fn begin() {
    for wrong in WRONG.iter().map(|(_, wrong)| *wrong).chain([INVALID]) {
        REFUSED.add(0, &[KeyValue::new("reason", wrong)]);
    }
    AHEAD.record(0, &[]);
}
