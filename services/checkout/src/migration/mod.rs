//! The schema, append-only: a migration that was released is never changed.

use sea_orm_migration::prelude::*;

mod m20261124_000001_orders;
mod m20261124_000002_test_provider;
mod m20261127_000003_open_orders;
mod m20261127_000004_outbox_numbers;
mod m20261128_000005_outbox_lanes;
mod m20261128_000006_orders_to_take_up;

/// All migrations, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_orders::Migration),
            Box::new(m20261124_000002_test_provider::Migration),
            Box::new(m20261127_000003_open_orders::Migration),
            Box::new(m20261127_000004_outbox_numbers::Migration),
            Box::new(m20261128_000005_outbox_lanes::Migration),
            Box::new(m20261128_000006_orders_to_take_up::Migration),
        ]
    }
}
