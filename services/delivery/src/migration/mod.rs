//! The schema's history. Append-only: a migration that was released is never changed.

use sea_orm_migration::{MigrationTrait, MigratorTrait};

mod m20261124_000001_shipments;
mod m20261127_000002_event_number;
mod m20261127_000003_number_events;

/// Delivery's migrations, oldest first.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_shipments::Migration),
            Box::new(m20261127_000002_event_number::Migration),
            Box::new(m20261127_000003_number_events::Migration),
        ]
    }
}
