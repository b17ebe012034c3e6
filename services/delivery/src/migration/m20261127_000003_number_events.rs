use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Numbers the events that are there, in a transaction without the lock on the table that adding a column takes. The numbers
/// are those of `domain::shipment::State::number`.
///
/// The index lets no parcel be both cancelled and picked up, whatever races: the events of both have the number 1.
const CHANGES: &str = "
UPDATE shipment_events SET number = CASE state
    WHEN 'label_created' THEN 0
    WHEN 'in_transit' THEN 1
    WHEN 'cancelled' THEN 1
    WHEN 'out_for_delivery' THEN 2
    WHEN 'delivered' THEN 3
END;
CREATE UNIQUE INDEX shipment_events_number ON shipment_events (order_id, number);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(CHANGES).await.map(drop)
    }
}
