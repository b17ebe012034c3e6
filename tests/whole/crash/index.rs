//! The catalogue is killed while it makes its index and while it writes what has changed; what it shows after the next start is what
//! the database has.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use selvage_identity::Role;
use selvage_pool::sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_pool::{Config, Pool};
use selvage_proto::catalogue::v1::ListProductsRequest;
use selvage_proto::catalogue::v1::catalogue_client::CatalogueClient;
use selvage_rpc::with_token;
use selvage_testkit::{eventually, free_port};
use selvage_tests::process::{Process, binary};
use selvage_tests::shop::Tokens;
use tonic::transport::Endpoint;

use super::{LONG, by_form};

/// Products that a statement changes at once.
const CHANGED: usize = 20;
/// The longest that the process may live: about what making the index takes, and some commits after it.
const LIFE_MS: u64 = 1_500;

/// The catalogue on a folder of its own.
struct Killed {
    folder: tempfile::TempDir,
    tokens: Tokens,
    address: String,
}

impl Killed {
    fn database(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("catalogue.db").display())
    }

    fn start(&self) -> Process {
        let mut command = Command::new(binary("selvage-catalogue"));
        command
            .args(["serve", "--listen", &self.address])
            .env("SELVAGE_DATABASE_URL", self.database())
            .env("SELVAGE_TRUSTED_KEYS", self.tokens.trusted_file())
            .env("SELVAGE_INDEX", self.folder.path().join("index"));
        Process::start(&mut command)
    }

    /// Titles by slug, as listings show them; `None` if it isn't whole while they are read.
    async fn shown(&self, token: &str) -> Option<BTreeMap<String, String>> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("an address");
        let mut catalogue = CatalogueClient::new(endpoint.connect().await.ok()?);
        let mut shown = BTreeMap::new();
        let mut request = ListProductsRequest { page_size: 100, ..Default::default() };
        loop {
            let page = catalogue.list_products(with_token(token, request.clone())).await.ok()?.into_inner();
            for product in page.products {
                assert_eq!(shown.insert(product.slug.clone(), product.title), None, "{} is shown twice", product.slug);
            }
            if page.next_page_token.is_empty() {
                return Some(shown);
            }
            request.page_token = page.next_page_token;
        }
    }
}

fn succeeds(command: &mut Command) {
    let done = command.output().expect("it runs");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

async fn stored(books: &Pool) -> BTreeMap<String, String> {
    let sql = "SELECT slug, title FROM products";
    let rows = books.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.expect(sql);
    rows.iter().map(|row| (row.try_get("", "slug").expect(sql), row.try_get("", "title").expect(sql))).collect()
}

/// Gives some products other titles, and takes one out of the shop.
async fn change(books: &Pool, number: usize) {
    let slugs: Vec<_> = stored(books).await.into_keys().collect();
    let picked = (0..CHANGED).map(|place| format!("'{}'", slugs[(number * 389 + place * 97) % slugs.len()]));
    let changed = picked.collect::<Vec<_>>().join(",");
    let gone = &slugs[number * 211 % slugs.len()];
    for sql in [
        format!("UPDATE products SET title = 'Change {number} of ' || slug WHERE slug IN ({changed})"),
        format!("DELETE FROM variants WHERE product = '{gone}'"),
        format!("DELETE FROM products WHERE slug = '{gone}'"),
    ] {
        books.execute_raw(Statement::from_string(DbBackend::Sqlite, &sql)).await.expect(&sql);
    }
}

fn segments(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).expect("the index's folder");
    files.filter(|file| file.as_ref().expect("a file").path().extension().is_some_and(|end| end == "store")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_the_catalogue_is_killed_its_index_comes_to_what_the_database_has() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::make(&folder.path().join("keys"));
    let killed = Killed { folder, tokens, address: format!("127.0.0.1:{}", free_port()) };
    let products = by_form(300, 3_000, 20_000);
    succeeds(Command::new(binary("selvage-catalogue")).arg("migrate").env("SELVAGE_DATABASE_URL", killed.database()));
    let seed = ["seed", "--products", &products.to_string(), "--database-url", &killed.database()];
    succeeds(Command::new(binary("selvage")).args(seed));
    let books = Pool::open(Config { limit: 1, ..Config::new("books", killed.database()) }).await.unwrap();
    let guest = killed.tokens.of(Role::Guest, "somebody");

    let rounds = by_form(4, 12, 60);
    let mut changes = 0;
    for round in 0..rounds {
        let mut process = killed.start();
        // It is killed at any moment, whatever it is doing then.
        let mut left = round * 397 % LIFE_MS;
        while left > 0 {
            let rest = left.min(200);
            tokio::time::sleep(Duration::from_millis(rest)).await;
            left -= rest;
            changes += 1;
            change(&books, changes).await;
        }
        process.kill();
    }
    let process = killed.start();
    process.wait_for("that it serves", |line| line.contains("\"serving\"").then_some(()));
    let truth = stored(&books).await;
    let changed = truth.values().filter(|title| title.starts_with("Change ")).count();
    eventually(LONG, "listings show what the database has", async || {
        killed.shown(&guest).await.as_ref() == Some(&truth)
    })
    .await;
    println!(
        "killed {rounds} times, with {changes} changes: {} of {products} products left, {changed} with another title, in {} segments",
        truth.len(),
        segments(&killed.folder.path().join("index"))
    );
}
