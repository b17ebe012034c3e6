//! The table, for the migrations of the services that have an outbox.

use sea_orm::sea_query::Alias;
use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::SchemaManager;
use sea_orm_migration::prelude::{ColumnDef, Index, Table};

use crate::message::Column;

/// The two lanes of claims; dead letters; and how long a key's first message has been there.
const LANES: &str = "
CREATE INDEX outbox_messages_fresh ON outbox_messages (next_at) WHERE NOT dead AND NOT behind AND attempts = 0;
CREATE INDEX outbox_messages_tried ON outbox_messages (next_at) WHERE NOT dead AND NOT behind AND attempts > 0;
CREATE INDEX outbox_messages_dead ON outbox_messages (position) WHERE dead;
CREATE INDEX outbox_messages_age ON outbox_messages (created_at) WHERE NOT behind;
";

/// Creates the outbox's table; for a service's own first migration. [`add_numbers`] follows in one of its own: this is the
/// table as it was first released.
///
/// # Errors
/// The database's: the migration fails, and is tried again as a whole.
pub async fn create_table(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let name = Alias::new("outbox_messages");
    manager
        .create_table(
            Table::create()
                .table(name.clone())
                .col(ColumnDef::new(Column::Position).big_integer().not_null().auto_increment().primary_key())
                .col(ColumnDef::new(Column::Key).uuid().not_null())
                .col(ColumnDef::new(Column::Topic).string().not_null())
                .col(ColumnDef::new(Column::Payload).binary().not_null())
                .col(ColumnDef::new(Column::Traceparent).string())
                .col(ColumnDef::new(Column::CreatedAt).big_integer().not_null())
                .col(ColumnDef::new(Column::NextAt).big_integer().not_null())
                .col(ColumnDef::new(Column::Attempts).integer().not_null().default(0))
                .col(ColumnDef::new(Column::Dead).boolean().not_null().default(false))
                .col(ColumnDef::new(Column::LastError).text())
                .to_owned(),
        )
        .await?;
    for (index, columns) in [
        ("outbox_messages_due", vec![Column::Dead, Column::NextAt]),
        ("outbox_messages_key", vec![Column::Key, Column::Position]),
    ] {
        let mut create = Index::create();
        create.name(index).table(name.clone());
        for column in columns {
            create.col(column);
        }
        manager.create_index(create.to_owned()).await?;
    }
    Ok(())
}

/// Adds each message's turn among those of its key. Messages that are there keep their order.
///
/// It is the expanding half: relays and senders of the version before go on beside this one's, for a row of theirs has
/// no number, and its turn is then its position, which is behind every turn that was given before it. Relays of that
/// version go by positions alone, which a single PostgreSQL server and SQLite hand out in order.
///
/// # Errors
/// The database's: the migration fails, and is tried again as a whole.
pub async fn add_numbers(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let db = manager.get_connection();
    db.execute_unprepared("ALTER TABLE outbox_messages ADD COLUMN number BIGINT").await?;
    db.execute_unprepared("UPDATE outbox_messages SET number = position").await.map(drop)
}

/// Marks the messages that stand behind another one of their key, and gives what a claim looks for indexes without these; for
/// a migration after [`add_numbers`].
///
/// It is the expanding half: senders of the version before mark nothing, and relays of that version look at no mark, free
/// nothing that is marked, and need the index `outbox_messages_due`. A relay mends what they leave. Once none is left that
/// doesn't know marks, a later version drops that index.
///
/// # Errors
/// The database's: the migration fails, and is tried again as a whole.
pub async fn add_lanes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let earlier = super::earlier_of(
        "outbox_messages.\"key\"",
        "COALESCE(outbox_messages.number, outbox_messages.position)",
        "outbox_messages.position",
    );
    let db = manager.get_connection();
    db.execute_unprepared("ALTER TABLE outbox_messages ADD COLUMN behind BOOLEAN NOT NULL DEFAULT FALSE").await?;
    db.execute_unprepared(&format!("UPDATE outbox_messages SET behind = TRUE WHERE EXISTS ({earlier})")).await?;
    db.execute_unprepared(LANES).await.map(drop)
}
