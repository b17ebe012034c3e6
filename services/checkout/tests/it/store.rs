//! What the store promises, on both engines.

use std::collections::BTreeSet;

use futures::future::join_all;
use selvage_checkout::domain::order::{NewOrder, PaymentState, State};
use selvage_checkout::domain::refusal::Refusal;
use selvage_checkout::store::{Change, Inserted, Store};
use selvage_outbox::Outgoing;
use selvage_testkit::engines;
use uuid::Uuid;

use crate::orders::order;
use crate::shop::{NOON, Shelf};

const UNTIL: i64 = NOON + 24_000;

async fn insert(store: &Store, what: &NewOrder, now_ms: i64) {
    assert!(matches!(store.order_insert(what, UNTIL, now_ms).await.unwrap(), Inserted::New));
}

/// A new order of `guest-1`, pending.
async fn pending(store: &Store, key: &str) -> Uuid {
    let what = order("guest-1", key);
    insert(store, &what, NOON).await;
    what.id
}

async fn state(store: &Store, id: Uuid) -> State {
    store.order_get(id).await.unwrap().unwrap().state
}

fn with_message(key: Uuid, topics: &[&'static str]) -> Change {
    let messages = topics.iter().map(|topic| Outgoing { key, topic, payload: vec![] }).collect();
    Change { payment: Some(PaymentState::Authorised), refusal: None, messages }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_one_order_of_its_owner() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let first = order("guest-1", "key");
        insert(store, &first, NOON).await;
        let again = NewOrder { fingerprint: vec![8; 32], grams: 1, ..order("guest-1", "key") };
        let Inserted::Existing(found) = store.order_insert(&again, UNTIL, NOON + 5).await.unwrap() else {
            panic!("{engine:?}: a key was used twice");
        };
        assert_eq!((&found.what, found.created_at), (&first, NOON), "{engine:?}");
        assert_eq!(store.order_get(again.id).await.unwrap(), None);

        // The same key of another, and another key of the same, are other orders.
        for other in [order("guest-2", "key"), order("guest-1", "other key")] {
            insert(store, &other, NOON).await;
            let read = store.order_get_by_key(&other.owner, &other.idempotency_key).await.unwrap().unwrap();
            assert_eq!(read.what, other, "{engine:?}");
        }
        assert_eq!(store.order_get_by_key("guest-3", "key").await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_insertions_at_once_with_one_key_one_is_new() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        for round in 0..8 {
            let tries: Vec<_> = (0..8).map(|_| order("guest-1", &round.to_string())).collect();
            let answers = join_all(tries.iter().map(|what| store.order_insert(what, UNTIL, NOON))).await;
            let mut new = Vec::new();
            let mut existing = BTreeSet::new();
            for (answer, what) in answers.into_iter().zip(&tries) {
                match answer.unwrap() {
                    Inserted::New => new.push(what.id),
                    Inserted::Existing(found) => drop(existing.insert(found.what.id)),
                }
            }
            assert_eq!(new.len(), 1, "{engine:?}");
            assert_eq!(existing, BTreeSet::from([new[0]]), "{engine:?}: all others are told of the new one");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_decide_one_does_and_only_its_messages_are_written() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        for round in 0..8 {
            let id = pending(store, &round.to_string()).await;
            let before = shelf.backlog().await.0;
            let confirm = with_message(id, &["commit_stock", "capture_payment", "mail_confirmed"]);
            let undo = Change { refusal: Some(Refusal::Interrupted), ..with_message(id, &["release_stock"]) };
            let (confirmed, undone) = futures::join!(
                store.order_advance(id, (State::Pending, State::Confirmed), &confirm, NOON + 1),
                store.order_advance(id, (State::Pending, State::Undone), &undo, NOON + 2),
            );
            let (confirmed, undone) = (confirmed.unwrap(), undone.unwrap());
            assert_ne!(confirmed, undone, "{engine:?}");
            let stored = store.order_get(id).await.unwrap().unwrap();
            let expected = if confirmed { (State::Confirmed, None) } else { (State::Undone, undo.refusal) };
            assert_eq!((stored.state, stored.refusal), expected, "{engine:?}");
            assert_eq!(shelf.backlog().await.0 - before, if confirmed { 3 } else { 1 }, "{engine:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_advances_only_from_where_it_is_believed_to_be() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let id = pending(store, "key").await;
        let change = with_message(id, &["refund_payment"]);
        assert!(!store.order_advance(id, (State::Confirmed, State::Refunding), &change, NOON + 1).await.unwrap());
        let nobody = with_message(Uuid::now_v7(), &["commit_stock"]);
        let unknown = (State::Pending, State::Confirmed);
        assert!(!store.order_advance(Uuid::now_v7(), unknown, &nobody, NOON + 1).await.unwrap());
        let stored = store.order_get(id).await.unwrap().unwrap();
        let untouched = (State::Pending, PaymentState::None, NOON);
        assert_eq!((stored.state, stored.payment, stored.updated_at), untouched, "{engine:?}");
        assert_eq!(shelf.backlog().await, (0, 0), "{engine:?}");

        let bare = Change::default();
        assert!(store.order_advance(id, (State::Pending, State::Declined), &bare, NOON + 3).await.unwrap());
        let stored = store.order_get(id).await.unwrap().unwrap();
        let declined = (State::Declined, PaymentState::None, NOON + 3, NOON);
        assert_eq!((stored.state, stored.payment, stored.updated_at, stored.created_at), declined);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_newest_first_and_its_pages_meet_without_gap_or_double() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let mut ids = Vec::new();
        // Of seven orders, three and two were made in the same millisecond.
        for (number, created_at) in
            [NOON, NOON + 1, NOON + 1, NOON + 1, NOON + 2, NOON + 3, NOON + 3].iter().enumerate()
        {
            let what = order("guest-1", &number.to_string());
            insert(store, &what, *created_at).await;
            ids.push((*created_at, what.id));
        }
        insert(store, &order("guest-2", "key"), NOON + 2).await;
        ids.sort_unstable();
        ids.reverse();
        for size in 1..=8 {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = store.order_list("guest-1", after, size).await.unwrap();
                let Some(last) = page.last() else { break };
                after = Some((last.created_at, last.what.id));
                assert!(page.len() as u64 <= size);
                seen.extend(page.iter().map(|order| (order.created_at, order.what.id)));
                assert!(seen.len() <= ids.len(), "{engine:?}, pages of {size}: {seen:?}");
            }
            assert_eq!(seen, ids, "{engine:?}, pages of {size}");
        }
        assert_eq!(store.order_list("guest-3", None, 5).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn states_are_told_of_the_orders_that_exist() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let (one, two) = (pending(store, "1").await, pending(store, "2").await);
        assert!(store.order_advance(two, (State::Pending, State::Undone), &Change::default(), NOON).await.unwrap());
        let mut states = store.order_list_states(vec![Uuid::now_v7(), two, one, two]).await.unwrap();
        states.sort_unstable();
        assert_eq!(states, [(one, State::Pending), (two, State::Undone)], "{engine:?}");
        assert_eq!(store.order_list_states(vec![]).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_interrupted_is_claimed_the_longest_waiting_first() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let mut ids = Vec::new();
        for number in 0..5 {
            let what = order("guest-1", &number.to_string());
            let made = store.order_insert(&what, NOON + 50 - 10 * number, NOON).await.unwrap();
            assert!(matches!(made, Inserted::New));
            ids.push(what.id);
        }
        let placed = (State::Pending, State::Confirmed);
        assert!(store.order_advance(ids[3], placed, &Change::default(), NOON).await.unwrap());
        let claim = async |now_ms, limit| -> Vec<Uuid> {
            let claimed = store.order_claim_interrupted(now_ms, now_ms + 1_000, limit).await.unwrap();
            claimed.into_iter().map(|order| order.what.id).collect()
        };
        assert!(claim(NOON + 10, 9).await.is_empty(), "{engine:?}: an attempt may go on until its very end");
        assert_eq!(claim(NOON + 11, 9).await, [ids[4]], "{engine:?}");
        assert_eq!(claim(NOON + 100, 2).await, [ids[2], ids[1]], "{engine:?}");
        assert_eq!(claim(NOON + 100, 9).await, [ids[0]], "{engine:?}");
        assert!(claim(NOON + 100, 9).await.is_empty(), "{engine:?}: a claim keeps others off");
        // Nobody got to an end with them: they are anybody's again.
        assert_eq!(claim(NOON + 2_000, 9).await.len(), 4, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_claim_at_once_never_get_the_same_order() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        for number in 0..24 {
            pending(store, &number.to_string()).await;
        }
        let (now, until) = (UNTIL + 1, UNTIL + 1_000);
        let mut claimed = Vec::new();
        // With SKIP LOCKED some of those who are at it at once may go away with few or none.
        while claimed.len() < 24 {
            let claims = join_all((0..6).map(|_| store.order_claim_interrupted(now, until, 5))).await;
            let round: Vec<_> =
                claims.into_iter().flat_map(|orders| orders.unwrap()).map(|order| order.what.id).collect();
            assert!(!round.is_empty(), "{engine:?}: {} are left and nobody gets one", 24 - claimed.len());
            claimed.extend(round);
        }
        let distinct: BTreeSet<_> = claimed.iter().collect();
        assert_eq!((claimed.len(), distinct.len()), (24, 24), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_oldest_first_and_retried_once() {
    for engine in engines() {
        let shelf = Shelf::open(engine).await;
        let store = &shelf.store;
        let mut ids = Vec::new();
        for number in 0..3 {
            let id = pending(store, &number.to_string()).await;
            let change = with_message(id, &["commit_stock", "clear_cart"]);
            assert!(store.order_advance(id, (State::Pending, State::Confirmed), &change, NOON).await.unwrap());
            ids.push(id);
        }
        assert!(store.dead_letters(0, 9).await.unwrap().is_empty());
        let give_up = "UPDATE outbox_messages SET dead = TRUE, attempts = 16, last_error = 'no' \
                       WHERE topic = 'commit_stock' AND \"key\" = $1";
        for id in &ids[..2] {
            shelf.run(give_up, *id).await;
        }
        assert_eq!(shelf.backlog().await, (4, 2), "{engine:?}");
        let letters = store.dead_letters(0, 9).await.unwrap();
        let seen: Vec<_> = letters.iter().map(|letter| (letter.key, letter.topic.as_str(), letter.attempts)).collect();
        assert_eq!(seen, [(ids[0], "commit_stock", 16), (ids[1], "commit_stock", 16)], "{engine:?}");
        assert_eq!(store.dead_letters(0, 1).await.unwrap(), letters[..1]);
        assert_eq!(store.dead_letters(letters[0].position, 9).await.unwrap(), letters[1..]);

        let retried = store.dead_letter_retry(letters[0].position, NOON + 9).await.unwrap().unwrap();
        assert_eq!((retried.dead, retried.attempts, retried.next_at), (false, 0, NOON + 9), "{engine:?}");
        assert_eq!(store.dead_letter_retry(letters[0].position, NOON + 9).await.unwrap(), None);
        assert_eq!(store.dead_letter_retry(i64::MAX, NOON + 9).await.unwrap(), None);
        assert_eq!(store.dead_letters(0, 9).await.unwrap(), letters[1..], "{engine:?}");
        assert_eq!(state(store, ids[0]).await, State::Confirmed);
    }
}
