use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[derive(Iden)]
enum Orders {
    Table,
    Id,
    Owner,
    IdempotencyKey,
    Fingerprint,
    Number,
    State,
    Payment,
    Refusal,
    Lines,
    Amounts,
    Email,
    Address,
    Speed,
    Grams,
    AttemptUntil,
    CreatedAt,
    UpdatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Orders::Table)
                    .col(ColumnDef::new(Orders::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(Orders::Owner).string().not_null())
                    .col(ColumnDef::new(Orders::IdempotencyKey).string().not_null())
                    .col(ColumnDef::new(Orders::Fingerprint).binary().not_null())
                    .col(ColumnDef::new(Orders::Number).string().not_null())
                    .col(ColumnDef::new(Orders::State).string().not_null())
                    .col(ColumnDef::new(Orders::Payment).string().not_null())
                    .col(ColumnDef::new(Orders::Refusal).json_binary())
                    .col(ColumnDef::new(Orders::Lines).json_binary().not_null())
                    .col(ColumnDef::new(Orders::Amounts).json_binary().not_null())
                    .col(ColumnDef::new(Orders::Email).string().not_null())
                    .col(ColumnDef::new(Orders::Address).json_binary().not_null())
                    .col(ColumnDef::new(Orders::Speed).string().not_null())
                    .col(ColumnDef::new(Orders::Grams).integer().not_null())
                    .col(ColumnDef::new(Orders::AttemptUntil).big_integer().not_null())
                    .col(ColumnDef::new(Orders::CreatedAt).big_integer().not_null())
                    .col(ColumnDef::new(Orders::UpdatedAt).big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        // A key is used once: this index, not a look before, is what decides between two calls at the same moment.
        manager
            .create_index(
                Index::create()
                    .name("orders_key")
                    .table(Orders::Table)
                    .col(Orders::Owner)
                    .col(Orders::IdempotencyKey)
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("orders_of_owner")
                    .table(Orders::Table)
                    .col(Orders::Owner)
                    .col(Orders::CreatedAt)
                    .col(Orders::Id)
                    .to_owned(),
            )
            .await?;
        // The sweeper looks at the few orders that are being placed, never at the many that are done.
        manager
            .get_connection()
            .execute_unprepared("CREATE INDEX orders_pending ON orders (attempt_until) WHERE state = 'pending'")
            .await?;
        selvage_outbox::create_table(manager).await
    }
}
