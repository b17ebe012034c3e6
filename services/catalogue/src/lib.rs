//! Products, their prices and their stock: the only authority on all three.
//!
//! A request goes through these modules, from the outside in: `grpc/server.rs` (who may call, then parse, ask, convert),
//! `grpc/parse.rs` (a request in the domain's words, or all its wrong fields), [`store`] (rows; one method for each thing that is
//! asked), [`domain`] (what is right; pure), and back by `grpc/convert.rs`. The other services with a database are built alike, and
//! the steps below are theirs too.
//!
//! # How products are read
//!
//! Most calls are GetProduct and ListProducts. `grpc/encoded.rs` answers them with the bytes of an earlier answer, which it
//! finds by the request's own bytes in bounded memory (`answer_cache.rs`). BatchGetProducts, by which carts and checkout
//! read prices, is never answered from memory.
//!
//! Each answer is kept together with the counts of changes that this process had heard of *before* it read the answer
//! (`store/changes.rs`). When it hears of another change, it increases a count, and an answer with an older count isn't used
//! any more: neither one in memory nor one that is still being read. Nothing has to be removed from memory, and no change can
//! slip in between a check and a storing.
//!
//! It hears of changes from a log in the database (`store/change_log.rs`), which triggers write whoever makes the change, and which it asks
//! for what is new each 150 ms (`store/follow.rs`). On PostgreSQL what is new is what a snapshot didn't see and a later one does, so
//! that nothing is missed however long a transaction takes, and nothing heard of twice. If no answer has come for a second, every read goes to
//! the database until one does; what was missed by then is heard of first, and the rest of what is in memory is used
//! again. On SQLite the process also counts its own transactions at once. Whoever else wants to know what has changed makes a
//! [`store::Follower`] of their own. On PostgreSQL the log is trimmed (`trim.rs`); on SQLite it has a bound.
//!
//! Listings and searches are answered by an [`index`] in this process, without a statement: words, columns and cards in mapped files,
//! which follow the same log and are some 0.3 s behind it. It is made from the database where there is none, and goes on from its file
//! after a restart. What it says of prices and stock is for looking; a bag and an order ask the database.
//!
//! Answers that aren't in memory are read from the database by at most two statements at a time (`store/gathered.rs`). Products
//! that are asked for while both are under way are read together by the next one, up to 32 of them. Nobody waits for company: in
//! a quiet shop each product has its own statement, and the busier the database, the fewer statements it gets. One caller
//! reads for those who wait. If it fails or goes away, each of them reads by itself, so that no caller gets another's error;
//! in a trace, those who waited have a link to the one who read.
//!
//! # To add an rpc
//!
//! The same steps hold for the other services. First ask whether a field of an answer that there is would do.
//!
//! 1. Describe it in `proto/selvage/catalogue/v1/catalogue.proto`: who may call it, each field with its bounds, each error with
//!    its reason. It takes a `<Rpc>Request`, and returns a `<Rpc>Response` or the thing that it is about, and a list has
//!    pages; `tests/whole/tidy/protos.rs` and `proto/tests` have the rules. If doing it twice is as doing it once, say so by
//!    `idempotency_level`: callers' channels repeat it then. `SELVAGE_RELEASE=1 cargo test -p selvage-proto` notes it in
//!    `proto/released.txt`.
//! 2. Add a function to `grpc/parse.rs` that makes of the request what the store takes. It notes each wrong field in a
//!    [`FieldViolations`](selvage_status::FieldViolations), so that the caller learns of all at once. A request without
//!    fields needs none.
//! 3. Add the method to `grpc/server.rs`: `caller(&request)?.require(…)`, parse, one method of the store, and
//!    `grpc/convert.rs` for the answer. What the store refuses becomes a [`selvage_status::Error`] with a reason here (in cart
//!    and delivery in `refusal.rs`), and nowhere else.
//! 4. Say who may call it in the table of `tests/whole/access.rs`, which fails while an rpc isn't in it. If a service calls it
//!    with its own token, its key must permit that: `services/holders/src/lib.rs`.
//! 5. Call it: `web/src/shop.rs`, `checkout/src/peers` or `cart/src/catalogue.rs`, with the client's feature of `selvage-proto` in
//!    the caller's `Cargo.toml`. Test servers want the method too: those of its callers, `tests/it/scripted.rs`, if their tests
//!    come by it; for any method of the cart `kit/rpc/tests/it/servers.rs`, which implements that service as a whole.
//! 6. Test it in `tests/it/edge.rs`, through a real channel: right, with each field wrong, by each role that may not; and
//!    with anything at all in its fields in `tests/it/hostile.rs`, where the service has one.
//!
//! # To add a method of the store
//!
//! 1. Name it by its noun, its verb and what narrows it, in this order: `product_get`, `reservation_list_overdue`. The same name
//!    is given to the pool, and is what metrics, traces and the log call the operation.
//! 2. Choose the class by who waits: `Critical` for an order, `Normal` for a person or a service, `Sheddable` for what can be
//!    done later or shown from memory.
//! 3. If one statement does it, use `pool.named(name, class)`. If several must hold together, use `pool.run_tx(name, class, …)`:
//!    the closure may run more than once, calls nothing over the network, and locks variants in the order of their SKUs.
//! 4. Take and return the domain's types; entities stay in `store/entity.rs`. What the shop's rules refuse is in the result, as
//!    [`store::Put`] is; to undo what a transaction has done by then, its closure returns `Rollback::Refused`. All else is a
//!    [`StoreError`](selvage_pool::StoreError). Many rows are read each by itself, with [`Each`](selvage_pool::Each), so that one
//!    that is damaged hides no other.
//! 5. Say in its docs how many statements it takes, and under `# Errors` what the caller can do.
//! 6. Test it in `tests/it`, in a loop over `engines()`: it runs on SQLite and on PostgreSQL.
//! 7. If it will be called often, do the sum in `app.rs` again that the pool's limit comes from.
//!
//! # To add a migration
//!
//! 1. Add a file `migration/mYYYYMMDD_NNNNNN_what.rs`, and list it last in `migration/mod.rs`. One that was released is never
//!    changed.
//! 2. Expand first: the release before this one runs beside it for a while, reads the new schema and writes rows as it did. A new
//!    column has a default or may be null, and the new code reads such rows too. What only the old release needs goes by a
//!    migration of a later release.
//! 3. Write SQL that both engines take, or ask `manager.get_database_backend()`. On PostgreSQL each migration is a transaction:
//!    keep what locks a table (`ALTER TABLE`) apart from what takes long (`UPDATE` of all rows).
//! 4. Change `store/entity.rs`, and test it on rows from before: `tests/it/store.rs` of the delivery service has an example,
//!    `events_from_before_are_numbered_by_the_migration`.

mod answer_cache;
mod app;
mod args;
pub mod domain;
mod grpc;
pub mod import;
pub mod index;
mod lapse;
mod meter;
pub mod migration;
mod planting;
pub mod seed;
pub mod store;
mod trim;

pub use answer_cache::Counts;
pub use app::{App, POOL, Peers, Settings};
pub use args::CatalogueArgs;
pub use planting::{Planted, plant, plant_seed, planted_products};
