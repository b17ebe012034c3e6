//! The catalogue that a command writes products to: a data folder's, or another one's database.

use selvage_boot::{Database, Tuned};
use selvage_catalogue::store::Store;

use crate::cli;
use crate::data::DataFolder;

/// A command is one writer, which uses one connection.
const POOL: Tuned = Tuned { name: "catalogue-import", tune: |config| config.limit = 1 };

/// An open catalogue. Its database is to be closed in the end.
pub(crate) struct Catalogue {
    pub(crate) database: Database,
    pub(crate) store: Store,
}

impl Catalogue {
    /// Opens it, with its schema brought up to date.
    pub(crate) async fn open(into: &cli::Catalogue) -> anyhow::Result<Self> {
        let migrate = async |database: &Database| database.migrate::<selvage_catalogue::migration::Migrator>().await;
        let database = match &into.database_url {
            Some(url) => {
                let database = Database::at(url);
                migrate(&database).await?;
                database
            }
            None => DataFolder::open(&into.data.data)?.database("catalogue", migrate).await?,
        };
        let pool = database.open_apart(&POOL, None).await?;
        Ok(Self { database, store: Store::new(pool, into.currency.as_str()) })
    }
}
