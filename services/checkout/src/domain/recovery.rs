//! What to do with an order whose placing was interrupted, decided from what its payment's provider says; and with one that
//! stands still.

use super::order::{PaymentState, State};

/// A confirmed order's stock must stay set aside until the relay takes it off the shelf. An order is confirmed only if
/// its reservation has at least this long to go.
pub const RESERVATION_MARGIN_MS: i64 = 60_000;

/// An order that isn't at rest and hasn't changed for this long stands still: nothing that is still trying could be what it
/// waits for. A message's attempts take up to 14 minutes (pauses of 12.6, 16 attempts of 5 s, a claim of 15 s), and
/// placing is taken up again every 24 s.
pub const STANDING_AFTER_MS: i64 = 15 * 60_000;

/// The longest pause between two times that an order which stands still is taken up: an hour of a peer's being well again
/// is as long as a buyer should wait for it.
const MAX_TAKE_UP_PAUSE_MS: i64 = 60 * 60_000;

/// What a payment provider knows of an order's authorisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Authorisation {
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
pub fn decide(authorisation: Authorisation, reserved_until: Option<i64>, now_ms: i64) -> Step {
    match (authorisation, reserved_until) {
        (Authorisation::Processing, _) => Step::AskAgain,
        (Authorisation::Declined, _) => Step::Decline,
        (Authorisation::Approved, Some(until)) if may_confirm(until, now_ms) => Step::Confirm,
        (Authorisation::Approved, Some(_)) => Step::Lapse,
        // An authorised order without known stock can't be kept; nothing at the provider means it went no further.
        (Authorisation::Approved, None) | (Authorisation::Nothing, _) => Step::Undo,
    }
}

/// What an order that stands still is given anew when no message of it is left. Nothing is undone by it that its state
/// doesn't say is to be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing: somebody must look.
    Nothing,
    /// Delivery is asked once more to stop the parcel.
    CancelAgain,
    /// The money is given back once more.
    RefundAgain,
    /// The money is given back once more, and so is the stock.
    RefundAndReleaseAgain,
}

/// What an order that stands still, with no message left, needs.
pub fn remedy(state: State, payment: PaymentState) -> Remedy {
    match (state, payment) {
        (State::Cancelling, _) => Remedy::CancelAgain,
        (State::Refunding, _) => Remedy::RefundAgain,
        (State::Cancelled, PaymentState::Authorised | PaymentState::Captured) => Remedy::RefundAndReleaseAgain,
        (State::Refunded, PaymentState::Authorised | PaymentState::Captured) => Remedy::RefundAgain,
        // A pending order has a sweep of its own. A confirmed one whose money was never taken isn't charged by surprise.
        _ => Remedy::Nothing,
    }
}

/// When an order that stands still is taken up again, and found no better: after as long again as it has stood, an hour at
/// the most. A day of standing costs some 27 attempts.
pub fn next_take_up(unchanged_since: i64, now_ms: i64) -> i64 {
    now_ms.saturating_add(now_ms.saturating_sub(unchanged_since).clamp(STANDING_AFTER_MS, MAX_TAKE_UP_PAUSE_MS))
}

/// Whether an order whose reservation ends at `reserved_until` may still be confirmed.
pub fn may_confirm(reserved_until: i64, now_ms: i64) -> bool {
    reserved_until.saturating_sub(now_ms) >= RESERVATION_MARGIN_MS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_stands_still_is_taken_up_after_as_long_again() {
        let minutes = |minutes: i64| minutes * 60_000;
        // It has stood for: it is taken up again after.
        for (stood, pause) in [(0, 15), (15, 15), (16, 16), (40, 40), (60, 60), (61, 60), (3 * 24 * 60, 60)] {
            let now = minutes(10_000);
            assert_eq!(next_take_up(now - minutes(stood), now), now + minutes(pause), "{stood} minutes");
        }
    }

    #[test]
    fn a_remedy_gives_back_only_what_the_orders_state_says() {
        for state in State::ALL {
            for payment in PaymentState::ALL {
                let owed = matches!(payment, PaymentState::Authorised | PaymentState::Captured);
                let expected = match state {
                    State::Cancelling => Remedy::CancelAgain,
                    State::Refunding => Remedy::RefundAgain,
                    State::Cancelled if owed => Remedy::RefundAndReleaseAgain,
                    State::Refunded if owed => Remedy::RefundAgain,
                    _ => Remedy::Nothing,
                };
                assert_eq!(remedy(state, payment), expected, "{state:?}, {payment:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn money_and_stock_decide(authorisation in prop::sample::select(vec![
            Authorisation::Nothing, Authorisation::Processing, Authorisation::Approved, Authorisation::Declined,
        ]), until in prop::option::of(0_i64..1_000_000), now in 0_i64..1_000_000) {
            let step = decide(authorisation, until, now);
            // Confirmed only with the money and with stock that can't lapse under it.
            let sound = authorisation == Authorisation::Approved && until.is_some_and(|until| until - now >= RESERVATION_MARGIN_MS);
            prop_assert_eq!(step == Step::Confirm, sound);
            // Nothing is undone while the provider may still say yes.
            prop_assert_eq!(step == Step::AskAgain, authorisation == Authorisation::Processing);
        }
    }
}
