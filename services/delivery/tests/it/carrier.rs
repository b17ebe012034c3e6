//! The carrier of a running service.

use std::time::Duration;

use selvage_delivery::domain::shipment::State;
use selvage_testkit::{engines, eventually};
use uuid::Uuid;

use crate::shop::{STEP_MS, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_moves_a_state_a_step_and_stays_delivered() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let order = Uuid::now_v7();
        shop.ship(order, "guest-1").await;
        for state in &State::ALL[1..4] {
            let store = shop.store();
            assert!(
                store.shipment_get(order).await.unwrap().unwrap().state < *state,
                "{engine:?}: not before its time"
            );
            shop.clock.advance_ms(STEP_MS);
            eventually(Duration::from_secs(10), "the parcel moves", async || {
                store.shipment_get(order).await.unwrap().unwrap().state == *state
            })
            .await;
        }
        let shipment = shop.store().shipment_get(order).await.unwrap().unwrap();
        let times: Vec<_> = shipment.events.iter().map(|event| event.at_ms).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == STEP_MS), "{engine:?}: {times:?}");
        assert_eq!(shop.store().shipment_next_due().await.unwrap(), None);
    }
}
