use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum Carts {
    Table,
    Owner,
    ExpireAt,
    PreviousExpireAt,
    UpdatedAt,
}

#[derive(DeriveIden)]
enum CartLines {
    Table,
    Owner,
    Sku,
    Quantity,
    Position,
}

#[derive(DeriveIden)]
enum CartRemovals {
    Table,
    OrderId,
    RemovedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Carts::Table)
                    .col(ColumnDef::new(Carts::Owner).text().not_null().primary_key())
                    .col(ColumnDef::new(Carts::ExpireAt).big_integer().not_null())
                    // What a change found: whether the lines had expired by then.
                    .col(ColumnDef::new(Carts::PreviousExpireAt).big_integer().not_null())
                    .col(ColumnDef::new(Carts::UpdatedAt).big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(Index::create().name("carts_expire_at").table(Carts::Table).col(Carts::ExpireAt).to_owned())
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(CartLines::Table)
                    .col(ColumnDef::new(CartLines::Owner).text().not_null())
                    .col(ColumnDef::new(CartLines::Sku).text().not_null())
                    .col(ColumnDef::new(CartLines::Quantity).integer().not_null())
                    .col(ColumnDef::new(CartLines::Position).integer().not_null())
                    .primary_key(Index::create().col(CartLines::Owner).col(CartLines::Sku))
                    .check(Expr::col(CartLines::Quantity).between(1, 99))
                    .to_owned(),
            )
            .await?;
        // Orders whose lines were taken out of a cart.
        manager
            .create_table(
                Table::create()
                    .table(CartRemovals::Table)
                    .col(ColumnDef::new(CartRemovals::OrderId).uuid().not_null().primary_key())
                    .col(ColumnDef::new(CartRemovals::RemovedAt).big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("cart_removals_removed_at")
                    .table(CartRemovals::Table)
                    .col(CartRemovals::RemovedAt)
                    .to_owned(),
            )
            .await
    }
}
