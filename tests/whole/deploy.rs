//! `selvage-deploy` at the running shop: stocking it, buying from it, tokens; and what it says where there is no cluster.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use selvage_pool::sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_pool::{Config, Pool};
use selvage_proto::cart::v1::GetCartRequest;
use selvage_proto::cart::v1::cart_client::CartClient;
use selvage_rpc::with_token;
use selvage_testkit::{Database, Engine, Server, database, engines, free_port};
use selvage_tests::collector::{Collector, Manner};
use selvage_tests::process::binary;
use selvage_tests::shop::Separate;
use tonic::Code;

/// The products with which the shop in one process begins, and so do those that are stocked.
const PRODUCTS: i64 = 417;

fn deploy(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("selvage-deploy"));
    command.args(arguments);
    command
}

/// What it printed, if it ended well.
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it said, if it failed.
fn complained(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: "), "{said}");
    last.to_owned()
}

fn buy(url: &str) -> Output {
    deploy(&["buy", "--web", url]).output().unwrap()
}

async fn count(database: &Database, sql: &str) -> i64 {
    let pool = Pool::open(Config { limit: 1, ..Config::new("count", database.url()) }).await.unwrap();
    let row = pool.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
    let count = row.try_get_by_index(0).unwrap();
    pool.close().await;
    count
}

/// A shop of five processes without products, whose traces go to a collector.
async fn empty() -> Option<(Separate, Server, Collector)> {
    if !engines().contains(&Engine::Postgres) {
        return None;
    }
    let collector = Collector::start(Manner::Swallows(Duration::ZERO)).await;
    let server = Server::start(&[]).await;
    let traced = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.url());
    let shop = Separate::start_on(&server, &[("SELVAGE_SEED", "false"), traced]).await;
    Some((shop, server, collector))
}

/// As after an installation: the catalogue is stocked once, and then something can be bought.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_shop_is_stocked_once_and_sells() {
    let Some((mut shop, _server, _collector)) = empty().await else { return };
    let pages = shop.pages(&[]);
    let said = complained(&deploy(&["buy", "--within", "2", "--web", &pages.url]).output().unwrap());
    assert!(said.contains("couldn't find a product") && said.contains("selvage-deploy stock"), "{said}");

    // As the role that the catalogue runs as.
    let stock = || deploy(&["stock"]).env("SELVAGE_DATABASE_URL", shop.login("catalogue")).output().unwrap();
    assert_eq!(printed(&stock()), format!("stocked with {PRODUCTS} products\n"));
    assert_eq!(printed(&stock()), "there are products already; nothing was changed\n");
    let [catalogue, _, checkout, _] = &shop.databases;
    assert_eq!(count(catalogue, "SELECT count(*) FROM products").await, PRODUCTS);

    // The pages remember for half a minute that there was nothing.
    let said = printed(&buy(&pages.url));
    let (_, rest) = said.split_once("the order ").expect("its number");
    let number = rest.split(' ').next().unwrap();
    let confirmed = format!("SELECT count(*) FROM orders WHERE number = '{number}' AND state = 'confirmed'");
    assert_eq!(count(checkout, &confirmed).await, 1, "{said}");
    let (_, trace) = said.split_once("the trace of the purchase is ").expect("its trace");
    let trace = trace.trim();
    assert!(trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit()), "{said}");

    // The step that fails is named.
    shop.stop("checkout");
    let said = complained(&buy(&pages.url));
    assert!(said.contains("nothing was bought: couldn't go to the checkout"), "{said}");
    shop.restart("checkout");
    assert!(printed(&buy(&pages.url)).contains("is confirmed"));
    drop(pages);
}

/// Where people come by https, the session's cookie is for that alone; who asks within the cluster sends it all the same.
#[tokio::test(flavor = "multi_thread")]
async fn something_is_bought_behind_a_proxy_that_ends_https_and_is_not_traced() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let server = Server::start(&[]).await;
    let shop = Separate::start_on(&server, &[]).await;
    let pages = shop.pages(&[("SELVAGE_SECURE_COOKIES", "true")]);
    let said = printed(&buy(&pages.url));
    assert!(said.contains("is confirmed") && said.ends_with("the purchase wasn't traced\n"), "{said}");

    // The keys of the processes make tokens for people too.
    let token = |holder: &str, role: &str| {
        let key = shop.tokens().key_file(holder);
        let made = deploy(&["token", role, "--subject", "g-me", "--key-file"]).arg(key).output().unwrap();
        printed(&made).trim().to_owned()
    };
    let cart = async |token: String| {
        let asked = with_token(&token, GetCartRequest {});
        CartClient::new(shop.channel("cart")).get_cart(asked).await.map(drop).map_err(|status| status.code())
    };
    assert_eq!(cart(token("web", "guest")).await, Ok(()));
    assert_eq!(cart(token("checkout", "guest")).await, Err(Code::Unauthenticated), "that key may not");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named_with_what_was_tried() {
    let said = complained(&buy(&format!("http://127.0.0.1:{}", free_port())));
    assert!(said.contains("couldn't look at the home page") && said.contains("127.0.0.1"), "{said}");
    for engine in engines() {
        let database = database(engine).await;
        let stock = deploy(&["stock", "--within", "1"]).env("SELVAGE_DATABASE_URL", database.url()).output().unwrap();
        let said = complained(&stock);
        assert!(said.contains("wasn't ready within 1 s") && said.contains("selvage-catalogue migrate"), "{said}");
    }
}

fn secrets(home: &Path) -> Command {
    let mut command = deploy(&["secrets", "--prefix", "shop", "--within", "1"]);
    command.env("HOME", home).env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
    command
}

/// Secrets are made at the API server of a cluster; the tests in a cluster make them.
#[test]
fn without_a_cluster_no_secret_is_made_and_that_is_said() {
    let home = tempfile::tempdir().unwrap();
    let said = complained(&secrets(home.path()).output().unwrap());
    assert!(said.contains("there is no cluster to make Secrets in") && said.contains("service account"), "{said}");

    let config = home.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters: [{{name: here, cluster: {{server: \"http://127.0.0.1:{}\"}}}}]\n\
         users: [{{name: me, user: {{}}}}]\ncontexts: [{{name: here, context: {{cluster: here, user: me, namespace: shop}}}}]\n",
        free_port()
    );
    std::fs::write(&config, text).unwrap();
    let said = complained(&secrets(home.path()).env("KUBECONFIG", &config).output().unwrap());
    assert!(said.contains("the API server can't be reached to get the Secret shop-key-web"), "{said}");
}

#[test]
fn a_purchase_ends_within_its_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Whoever listens takes the connection and says nothing.
    let said = complained(&deploy(&["buy", "--within", "1", "--web", &url]).output().unwrap());
    assert!(said.contains("couldn't look at the home page: it wasn't done within 1 s"), "{said}");
}
