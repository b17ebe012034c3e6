//! Reservations that are past their time. Time alone doesn't end them: checkout is asked whether their order still needs
//! the stock, and while it can't be asked they stay. Those that have ended are forgotten much later.

use std::collections::HashMap;
use std::time::Duration;

use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_pool::passed_over;
use selvage_proto::checkout::v1::BatchGetOrderStatesRequest;
use selvage_proto::checkout::v1::checkout_client::CheckoutClient;
use selvage_proto::checkout::v1::order::State;
use selvage_rpc::Channel;
use selvage_status::Error;
use uuid::Uuid;

use crate::domain::stock::{Order, lapses};
use crate::store::{RESERVATIONS, Store};

/// Reservations that are looked at in one round: as many as checkout tells of at once.
const OVERDUE_BATCH: u64 = 100;
/// When an order that is alive is asked about again.
const EXTENSION_MS: i64 = 60_000;
/// When a reservation is looked at again whose row is damaged.
const PASSED_OVER_MS: i64 = 3_600_000;
/// How long what has ended is remembered. Checkout repeats a commit or release for ten minutes by itself, and then when an
/// admin retries its dead letter; and the release that puts a cancelled order's goods back on the shelf waits behind that
/// order's refund and shipment, dead letters included. 90 days are far longer than anybody leaves those. What comes later
/// finds nothing: a commit is refused, a release puts nothing back, and no piece is sold twice.
const ENDED_KEPT_MS: i64 = 90 * 24 * 3600 * 1000;
/// Rows of each kind that are purged in one round: some 10 ms of work. A round every 10 s makes 4 million a day.
const PURGE_BATCH: u64 = 500;

/// Ends reservations that nobody needs any more.
pub(crate) struct Lapse {
    pub(crate) store: Store,
    pub(crate) checkout: CheckoutClient<Channel>,
    pub(crate) clock: Clock,
}

impl Lapse {
    pub(crate) async fn run(self, life: Life, every: Duration) {
        while life.sleep(every).await {
            if let Err(error) = self.release_overdue().await {
                tracing::warn!(error = %error, "reservations past their time stay, for checkout can't be asked");
            }
            if let Err(error) = self.store.stock_purge(self.clock.now_ms() - ENDED_KEPT_MS, PURGE_BATCH).await {
                tracing::warn!(error = %error, "reservations that have ended could not be purged");
            }
        }
    }

    /// Releases the overdue reservations whose orders are over, and gives the others more time. One that can't be released for what
    /// its row has in it is named in the log, and looked at again in an hour.
    async fn release_overdue(&self) -> Result<(), Error> {
        let now = self.clock.now_ms();
        let overdue = self.store.reservation_list_overdue(now, OVERDUE_BATCH).await?;
        if overdue.is_empty() {
            return Ok(());
        }
        let request = BatchGetOrderStatesRequest { order_ids: overdue.iter().map(Uuid::to_string).collect() };
        let answer = self.checkout.clone().batch_get_order_states(request).await?.into_inner();
        let states: HashMap<_, _> =
            answer.orders.iter().map(|order| (order.order_id.as_str(), order.state())).collect();
        let (over, alive): (Vec<_>, Vec<_>) =
            overdue.into_iter().partition(|id| lapses(order(states.get(id.to_string().as_str()).copied())));
        self.store.reservation_extend(&alive, now + EXTENSION_MS).await?;
        for id in over {
            match self.store.stock_release(id, now).await {
                Ok(_) => tracing::info!(reservation = %id, "a reservation has lapsed"),
                Err(why) if why.is_of_one_row() => {
                    passed_over(RESERVATIONS, id, &why);
                    self.store.reservation_extend(&[id], now + PASSED_OVER_MS).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn order(state: Option<State>) -> Order {
    match state {
        None => Order::Unknown,
        Some(State::OutOfStock | State::Declined | State::Undone | State::Cancelled) => Order::Over,
        // What a newer checkout says that we don't know yet counts as alive: stock that waits is better than stock sold twice.
        Some(_) => Order::Alive,
    }
}
