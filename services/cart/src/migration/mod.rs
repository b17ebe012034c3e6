//! The schema's history. Append-only: a migration that was released is never changed.

use sea_orm_migration::{MigrationTrait, MigratorTrait};

mod m20261124_000001_carts;

/// The carts' migrations, oldest first.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m20261124_000001_carts::Migration)]
    }
}
