//! What to do with an order whose placing was interrupted, decided from what its payment's provider says.

/// A confirmed order's stock must stay set aside until the relay takes it off the shelf. An order is confirmed only if
/// its reservation has at least this long to go.
pub const RESERVATION_MARGIN_MS: i64 = 60_000;

/// What a payment provider knows of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It never got the request, or voided it.
    Nothing,
    /// It is still at it.
    Processing,
    /// The amount is set aside, or already taken.
    Approved,
    /// It said no.
    Declined,
}

/// What to do with an interrupted order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything was done but the confirming.
    Confirm,
    /// The reservation may lapse: give payment and stock back.
    Lapse,
    /// Give the stock back; there is no payment.
    Decline,
    /// Give everything back.
    Undo,
    /// Ask the provider again later; never undo blind.
    AskAgain,
}

/// Decides. `reserved_until`: when the order's reservation ends, if stock was set aside for it.
pub fn decide(known: Known, reserved_until: Option<i64>, now_ms: i64) -> Step {
    match (known, reserved_until) {
        (Known::Processing, _) => Step::AskAgain,
        (Known::Declined, _) => Step::Decline,
        (Known::Approved, Some(until)) if may_confirm(until, now_ms) => Step::Confirm,
        (Known::Approved, Some(_)) => Step::Lapse,
        // An authorised order without known stock can't be kept; nothing at the provider means it went no further.
        (Known::Approved, None) | (Known::Nothing, _) => Step::Undo,
    }
}

/// Whether an order whose reservation ends at `reserved_until` may still be confirmed.
pub fn may_confirm(reserved_until: i64, now_ms: i64) -> bool {
    reserved_until.saturating_sub(now_ms) >= RESERVATION_MARGIN_MS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn money_and_stock_decide(known in prop::sample::select(vec![
            Known::Nothing, Known::Processing, Known::Approved, Known::Declined,
        ]), until in prop::option::of(0_i64..1_000_000), now in 0_i64..1_000_000) {
            let step = decide(known, until, now);
            // Confirmed only with the money and with stock that can't lapse under it.
            let sound = known == Known::Approved && until.is_some_and(|until| until - now >= RESERVATION_MARGIN_MS);
            prop_assert_eq!(step == Step::Confirm, sound);
            // Nothing is undone while the provider may still say yes.
            prop_assert_eq!(step == Step::AskAgain, known == Known::Processing);
        }
    }
}
