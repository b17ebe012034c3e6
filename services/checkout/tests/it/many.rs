//! What the sweep's looks cost among many orders.

use sea_orm::ConnectionTrait as _;
use selvage_testkit::{Engine, engines, many, shortest, times};

use crate::shop::{NOON, Shelf};

const HOUR_MS: i64 = 3_600_000;

/// Writes down orders, up to `limit` of them, that were changed at `updated_at` and are claimed until `attempt_until`.
async fn plant(shelf: &Shelf, engine: Engine, state: &str, (updated_at, attempt_until): (i64, i64), limit: u64) {
    let sql = format!(
        "INSERT INTO orders (id, owner, idempotency_key, fingerprint, number, state, payment, lines, amounts, email, address, \
           speed, grams, attempt_until, created_at, updated_at) \
         SELECT {}, 'guest-1', '{state}-' || {} || '-' || n, {}, '', '{state}', 'captured', '[]', \
           '{{\"currency\": \"EUR\", \"subtotal\": 1, \"delivery\": 0, \"tax\": 0, \"tax_basis_points\": 0, \"total\": 1}}', \
           '', '{{\"recipient\": \"\", \"lines\": [], \"postal_code\": \"\", \"city\": \"\", \"country\": \"DE\"}}', \
           'standard', 1, {attempt_until} + n / 1000, 1, {updated_at} + n / 1000 FROM {} LIMIT {limit}",
        engine.random_id(),
        if engine == Engine::Sqlite { "hex(randomblob(8))" } else { "gen_random_uuid()" },
        if engine == Engine::Sqlite { "x'07'" } else { "'\\x07'::bytea" },
        engine.numbers(),
    );
    shelf.pools.orders.execute_unprepared(&sql).await.unwrap();
}

/// Writes down messages that have waited since a moment ago.
async fn plant_messages(shelf: &Shelf, engine: Engine) {
    let payload = if engine == Engine::Sqlite { "x'07'" } else { "'\\x07'::bytea" };
    let sql = format!(
        "INSERT INTO outbox_messages (number, \"key\", topic, payload, created_at, next_at, attempts, behind) \
         SELECT n, {}, 'create_shipment', {payload}, {NOON}, {NOON}, 1, n % 5 > 0 FROM {}",
        engine.random_id(),
        engine.numbers()
    );
    shelf.pools.orders.execute_unprepared(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_for_orders_to_take_up_takes_as_long_among_many_as_among_few() {
    for engine in engines() {
        let mut took: [Vec<_>; 4] = Default::default();
        for crowded in [false, true] {
            let shelf = Shelf::open(engine).await;
            let store = &shelf.store;
            for _ in 0..if crowded { times() } else { 0 } {
                // Done; just confirmed, and captured later; standing still, and taken up before; standing still.
                plant(&shelf, engine, "confirmed", (NOON - HOUR_MS, 0), 20_000).await;
                plant(&shelf, engine, "refunding", (NOON, 0), 20_000).await;
                plant(&shelf, engine, "cancelling", (NOON - 2 * HOUR_MS, NOON + HOUR_MS), 20_000).await;
                plant(&shelf, engine, "cancelling", (NOON - HOUR_MS, 0), 20_000).await;
                plant_messages(&shelf, engine).await;
            }
            plant(&shelf, engine, "pending", (NOON - HOUR_MS, NOON - HOUR_MS), 1_000).await;
            plant(&shelf, engine, "refunding", (NOON - HOUR_MS, 0), 1_500).await;
            // What a planner goes by, and a server learns by itself.
            shelf.pools.orders.execute_unprepared("ANALYZE").await.unwrap();
            let now = NOON + 1_000;
            let interrupted = async || {
                assert_eq!(store.order_claim_interrupted(now, now + HOUR_MS, 32).await.unwrap().len(), 32);
            };
            took[0].push(shortest(interrupted).await);
            let standing = async || {
                assert_eq!(store.order_claim_standing(NOON - HOUR_MS / 4, now, 32).await.unwrap().len(), 32);
            };
            took[1].push(shortest(standing).await);
            let count = async || assert_eq!(store.order_count_standing(NOON - HOUR_MS / 4).await.unwrap(), 1_000);
            took[2].push(shortest(count).await);
            let pending = async || assert_eq!(store.order_count_pending().await.unwrap(), 1_000);
            took[3].push(shortest(pending).await);
        }
        let whats =
            ["interrupted orders", "orders that stand still", "their number", "the number of those being placed"];
        for (what, took) in whats.into_iter().zip(took) {
            assert!(took[1] < took[0] * 5, "{engine:?}: {what} take {took:?} among few and {} more", many());
        }
    }
}
