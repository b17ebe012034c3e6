use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[derive(Iden)]
enum ProviderPayments {
    Table,
    OrderId,
    Amount,
    Currency,
    State,
    Captured,
    Refunded,
    KnownFrom,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(ProviderPayments::Table)
                    .col(ColumnDef::new(ProviderPayments::OrderId).uuid().not_null().primary_key())
                    .col(ColumnDef::new(ProviderPayments::Amount).big_integer().not_null())
                    .col(ColumnDef::new(ProviderPayments::Currency).string().not_null())
                    .col(ColumnDef::new(ProviderPayments::State).string().not_null())
                    .col(ColumnDef::new(ProviderPayments::Captured).big_integer().not_null().default(0))
                    .col(ColumnDef::new(ProviderPayments::Refunded).big_integer().not_null().default(0))
                    .col(ColumnDef::new(ProviderPayments::KnownFrom).big_integer().not_null())
                    .to_owned(),
            )
            .await
    }
}
