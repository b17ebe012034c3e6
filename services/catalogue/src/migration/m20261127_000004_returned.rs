use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Of reservations that were released before, nobody knows whether their stock had been taken: a repeated commit of those is
/// refused, as it was then.
const CHANGES: &str = "ALTER TABLE reservations ADD COLUMN returned BOOLEAN NOT NULL DEFAULT FALSE";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(CHANGES).await.map(drop)
    }
}
