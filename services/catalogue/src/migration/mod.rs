//! The schema, append-only: a migration that was released is never changed.

use sea_orm_migration::prelude::*;

mod m20261124_000001_catalogue;
mod m20261125_000002_withdrawn;
mod m20261126_000003_announce;
mod m20261127_000004_returned;
mod m20261128_000005_change_log;
mod m20261129_000006_search;

/// All migrations, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_catalogue::Migration),
            Box::new(m20261125_000002_withdrawn::Migration),
            Box::new(m20261126_000003_announce::Migration),
            Box::new(m20261127_000004_returned::Migration),
            Box::new(m20261128_000005_change_log::Migration),
            Box::new(m20261129_000006_search::Migration),
        ]
    }
}
