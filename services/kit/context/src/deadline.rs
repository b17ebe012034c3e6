//! The moment by which the caller wants its answer.

use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Runs `work` with `at` as its deadline, or the enclosing one where that is earlier: a callee can't buy time that its
/// caller doesn't have.
pub async fn scope<F: Future>(at: Instant, work: F) -> F::Output {
    let at = current().map_or(at, |outer| outer.min(at));
    DEADLINE.scope(at, work).await
}

/// The deadline in force, if the task has one.
pub fn current() -> Option<Instant> {
    DEADLINE.try_with(|at| *at).ok()
}

/// The time that is left, zero once the deadline is past; `None` without a deadline.
pub fn remaining() -> Option<Duration> {
    current().map(|at| at.saturating_duration_since(Instant::now()))
}

/// Writes a time-out as the gRPC-over-HTTP/2 specification says, at most eight digits and a unit: in microseconds, or in
/// milliseconds where those don't fit, a day at the most.
pub fn to_grpc(left: Duration) -> String {
    const MAX: u128 = 99_999_999;
    let micros = left.as_micros();
    if micros <= MAX { format!("{micros}u") } else { format!("{}m", left.as_millis().min(MAX)) }
}

/// Reads such a time-out; `None` if it isn't one.
pub fn from_grpc(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_specification_writes_them() {
        assert_eq!(from_grpc("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(from_grpc("250m"), Some(Duration::from_millis(250)));
        assert_eq!(from_grpc("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "S", "5", "1.5S", "-1S", "+1S", "100000000S", "5x", "5\u{e9}"] {
            assert_eq!(from_grpc(wrong), None, "{wrong}");
        }
        for left in [1, 1_500_000, 99_000_000, 7_200_000_000].map(Duration::from_micros) {
            assert_eq!(from_grpc(&to_grpc(left)), Some(left));
        }
        assert!(from_grpc(&to_grpc(Duration::MAX)).is_some());
    }

    #[tokio::test]
    async fn an_inner_scope_cannot_extend_the_outer_one() {
        let now = Instant::now();
        let (near, far) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
        let seen = scope(near, scope(far, async { current() })).await;
        assert_eq!(seen, Some(near));
        let seen = scope(far, scope(near, async { current() })).await;
        assert_eq!(seen, Some(near));
        assert_eq!(current(), None);
    }
}
