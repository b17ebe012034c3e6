//! A whole lease with one statement through SeaORM's entities: a select by id of a row of a kilobyte.

use std::time::{Duration, Instant};

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ConnectOptions, Database, DbBackend, QuerySelect as _, QueryTrait as _};
use selvage_pool::{Config, Pool};
use selvage_testkit::{Server, database_on};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::pgbench::Pgbench;
use crate::{LIMIT, TASKS, median};

const ROUNDS: usize = 5;
/// Of one measurement.
const LASTS: Duration = Duration::from_secs(2);
const ROWS: i64 = 1_000;

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "page")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: i64,
    title: String,
    text: String,
    words: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What each round has shown of one contender.
#[derive(Default)]
struct Seen {
    /// Statements a second.
    rate: Vec<f64>,
    /// The server's processor time for one, in microseconds.
    server: Vec<f64>,
}

impl Seen {
    /// Runs one measurement, which says how many statements were answered, and how many a second; returns the latter.
    async fn look(&mut self, cluster: &Cluster, work: impl Future<Output = (u64, f64)>) -> f64 {
        let computed = cluster.computed();
        let (answered, rate) = work.await;
        self.rate.push(rate);
        self.server.push((cluster.computed() - computed) * 1e6 / answered as f64);
        rate
    }
}

/// As many tasks as want to, one statement after the other, until the time is over.
async fn read<C: ConnectionTrait + Clone + Send + Sync + 'static>(connection: &C) -> (u64, f64) {
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    for task in 0..TASKS {
        let connection = connection.clone();
        tasks.spawn(async move {
            let (mut id, mut answered) = (i64::try_from(task).unwrap(), 0);
            while began.elapsed() < LASTS {
                // A prime's steps: every row in turn, no two tasks at the same.
                id = (id + 389) % ROWS;
                let row = Entity::find_by_id(id).one(&connection).await.expect("an answer");
                assert_eq!(row.expect("the row is there").id, id);
                answered += 1;
            }
            answered
        });
    }
    let answered = tasks.join_all().await.into_iter().sum();
    (answered, answered as f64 / began.elapsed().as_secs_f64())
}

/// The statement as SeaORM writes it, for pgbench.
fn script() -> String {
    let statement = Entity::find_by_id(1_i64).limit(1).build(DbBackend::Postgres);
    let sql = statement.sql.replace("$1", ":id").replace("$2", ":one");
    format!("\\set id random(0, {})\n\\set one 1\n{sql};\n", ROWS - 1)
}

pub(crate) async fn compare() {
    let server = Server::start(&[]).await;
    let database = database_on(&server).await;
    let ours = Pool::open(Config { limit: LIMIT, ..Config::new("lease", database.url()) }).await.unwrap();
    let mut options = ConnectOptions::new(database.url());
    options.max_connections(LIMIT).sqlx_logging(false);
    let plain = Database::connect(options).await.unwrap();
    let table =
        "CREATE TABLE page (id BIGINT PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL, words INT NOT NULL)";
    ours.execute_unprepared(table).await.unwrap();
    let rows = (0..ROWS).map(|id| ActiveModel {
        id: Set(id),
        title: Set(format!("The page of number {id}")),
        text: Set("A kilobyte is soon said. ".repeat(38)),
        words: Set(190),
    });
    Entity::insert_many(rows).exec_without_returning(&ours).await.unwrap();
    ours.execute_unprepared("VACUUM ANALYZE page").await.unwrap();

    let cluster = Cluster::of(&ours).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("select.sql");
    std::fs::write(&file, script()).unwrap();
    let programs = cluster.programs();
    let pgbench = Pgbench { programs: &programs, url: database.url(), script: &file, lasts: LASTS };

    let [mut of_ours, mut of_plain, mut of_pgbench, mut of_slowed] = [(); 4].map(|()| Seen::default());
    for _ in 0..ROUNDS {
        let rate = of_ours.look(&cluster, read(&ours)).await;
        of_plain.look(&cluster, read(&plain)).await;
        of_pgbench.look(&cluster, pgbench.run(None)).await;
        // The less there is to do, the more often a server's process sleeps and is woken, which counts as its work.
        of_slowed.look(&cluster, pgbench.run(Some(rate))).await;
    }
    let faster = median(ratios(&of_ours.rate, &of_plain.rate));
    let [work, same_rate] = [&of_pgbench, &of_slowed].map(|of| median(ratios(&of_ours.server, &of.server)));
    println!("\n{:<44}{:>16}{:>18}", "a select by id, 64 tasks over 8 connections", "a second", "PostgreSQL's CPU");
    for (name, of) in [
        ("ours", of_ours),
        ("plain SeaORM pool", of_plain),
        ("pgbench -M prepared -c 8", of_pgbench),
        ("pgbench, held to the rate of ours", of_slowed),
    ] {
        println!("{name:<44}{:>16.0}{:>15.1} µs", median(of.rate), median(of.server));
    }
    println!("ours answers {faster:.2} × as many as a plain SeaORM pool (at least 1.5 is wanted)");
    println!(
        "PostgreSQL computes {work:.2} × as long for ours as for pgbench (at most 1.2 is wanted), and {same_rate:.2} ×"
    );
    println!("as long as for pgbench at the rate of ours");
}

/// Round by round: what the machine did besides was the same for both.
fn ratios(these: &[f64], those: &[f64]) -> Vec<f64> {
    these.iter().zip(those).map(|(this, that)| this / that).collect()
}
