use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// When an order that isn't at rest is to be taken up: a quarter of an hour after its last change, and not while it is claimed.
/// By `orders_open` alone all that were taken up before, and wait for their next time, would be looked at first.
const CHANGES: &str = "CREATE INDEX orders_to_take_up ON orders (({greatest}(attempt_until, updated_at + 900000))) WHERE \
    (state IN ('pending', 'cancelling', 'refunding') OR payment = 'authorised' \
    OR (payment = 'captured' AND state IN ('cancelled', 'refunded'))) AND state <> 'pending'";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let greatest = if manager.get_database_backend() == DbBackend::Postgres { "GREATEST" } else { "max" };
        manager.get_connection().execute_unprepared(&CHANGES.replace("{greatest}", greatest)).await.map(drop)
    }
}
