//! Any order reads as it was stored, and so does why it was refused.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use selvage_checkout::domain::number;
use selvage_checkout::domain::order::{Order, PaymentState, State};
use selvage_checkout::store::{Change, Inserted};
use selvage_testkit::engines;

use crate::orders::{any_order, any_refusal};
use crate::shop::Shelf;

#[test]
fn any_order_reads_as_it_was_stored() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for engine in engines() {
        let shelf = runtime.block_on(Shelf::open(engine));
        let store = &shelf.store;
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(64) });
        let moments = any::<[i64; 3]>();
        runner
            .run(&(any_order(), any_refusal(), moments), |(what, refusal, [created_at, attempt_until, updated_at])| {
                runtime.block_on(async {
                    // The key of an earlier case would make it that case's order.
                    if store.order_get_by_key(&what.owner, &what.idempotency_key).await.unwrap().is_some() {
                        return Ok(());
                    }
                    let inserted = store.order_insert(&what, attempt_until, created_at).await.unwrap();
                    prop_assert!(matches!(inserted, Inserted::New));
                    let pending = Order {
                        number: number::of(what.id),
                        what,
                        state: State::Pending,
                        payment: PaymentState::None,
                        refusal: None,
                        attempt_until,
                        created_at,
                        updated_at: created_at,
                    };
                    let id = pending.what.id;
                    let read = store.order_get(id).await.unwrap();
                    prop_assert_eq!(read.as_ref(), Some(&pending));
                    let payment = Some(PaymentState::Voided);
                    let change = Change { payment, refusal: Some(refusal.clone()), messages: vec![] };
                    let step = (State::Pending, State::Undone);
                    prop_assert!(store.order_advance(id, step, &change, updated_at).await.unwrap());
                    let undone = Order {
                        state: State::Undone,
                        payment: PaymentState::Voided,
                        refusal: Some(refusal),
                        updated_at,
                        ..pending
                    };
                    let (owner, key) = (&undone.what.owner, &undone.what.idempotency_key);
                    let by_key = store.order_get_by_key(owner, key).await.unwrap();
                    prop_assert_eq!(by_key.as_ref(), Some(&undone));
                    Ok(())
                })
            })
            .unwrap();
    }
}
