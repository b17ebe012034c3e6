use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum Shipments {
    Table,
    OrderId,
    Owner,
    Address,
    Speed,
    Grams,
    State,
    TrackingNumber,
    NextMoveAt,
    CreatedAt,
}

#[derive(DeriveIden)]
enum ShipmentEvents {
    Table,
    Id,
    OrderId,
    State,
    At,
    Place,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Shipments::Table)
                    .col(ColumnDef::new(Shipments::OrderId).uuid().not_null().primary_key())
                    // What is shipped: all null if the shipment was cancelled before anything was.
                    .col(ColumnDef::new(Shipments::Owner).text())
                    .col(ColumnDef::new(Shipments::Address).json())
                    .col(ColumnDef::new(Shipments::Speed).text())
                    .col(ColumnDef::new(Shipments::Grams).integer())
                    .col(ColumnDef::new(Shipments::State).text().not_null())
                    .col(ColumnDef::new(Shipments::TrackingNumber).text().not_null())
                    // Null once there is no next move.
                    .col(ColumnDef::new(Shipments::NextMoveAt).big_integer())
                    .col(ColumnDef::new(Shipments::CreatedAt).big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("shipments_next_move_at")
                    .table(Shipments::Table)
                    .col(Shipments::NextMoveAt)
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(ShipmentEvents::Table)
                    .col(ColumnDef::new(ShipmentEvents::Id).big_integer().not_null().auto_increment().primary_key())
                    .col(ColumnDef::new(ShipmentEvents::OrderId).uuid().not_null())
                    .col(ColumnDef::new(ShipmentEvents::State).text().not_null())
                    .col(ColumnDef::new(ShipmentEvents::At).big_integer().not_null())
                    .col(ColumnDef::new(ShipmentEvents::Place).text().not_null())
                    .to_owned(),
            )
            .await?;
        // At most one event of each state, whatever races.
        manager
            .create_index(
                Index::create()
                    .name("shipment_events_once")
                    .table(ShipmentEvents::Table)
                    .col(ShipmentEvents::OrderId)
                    .col(ShipmentEvents::State)
                    .unique()
                    .to_owned(),
            )
            .await
    }
}
