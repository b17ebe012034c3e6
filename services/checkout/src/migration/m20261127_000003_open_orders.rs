use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Orders that stand still are looked for among the few that something is still to be done about.
const CHANGES: &str = "CREATE INDEX orders_open ON orders (updated_at) WHERE \
    state IN ('pending', 'cancelling', 'refunding') OR payment = 'authorised' \
    OR (payment = 'captured' AND state IN ('cancelled', 'refunded'))";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(CHANGES).await.map(drop)
    }
}
