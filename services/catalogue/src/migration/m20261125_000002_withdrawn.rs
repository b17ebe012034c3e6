use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Variants that were dropped before are still on sale: without a fingerprint, the next import writes each product anew.
/// The indexes are for the purge.
const CHANGES: &str = "
ALTER TABLE variants ADD COLUMN withdrawn BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE products SET fingerprint = '';
CREATE INDEX reservations_ended ON reservations (expires_at) WHERE state <> 'held';
CREATE INDEX stock_adjustments_age ON stock_adjustments (adjusted_at);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(CHANGES).await.map(drop)
    }
}
