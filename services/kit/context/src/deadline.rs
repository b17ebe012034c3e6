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

#[cfg(test)]
mod tests {
    use super::*;

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
