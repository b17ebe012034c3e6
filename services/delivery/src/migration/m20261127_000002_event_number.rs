use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// What orders a shipment's events: ids are a sequence's, which a database with several nodes gives out in blocks, so that
/// they are not in the order of the events. Null where an older release, which still runs, writes.
const CHANGES: &str = "ALTER TABLE shipment_events ADD COLUMN number INTEGER";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(CHANGES).await.map(drop)
    }
}
