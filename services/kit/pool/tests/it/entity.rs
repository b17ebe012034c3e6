//! One table, used as any entity is.

use futures::TryStreamExt as _;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, QueryOrder as _, StreamTrait as _};
use selvage_pool::{Class, Config, Pool, is_unique_violation};
use selvage_testkit::{Database, Engine, database, engines};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "counter")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: i32,
    pub(crate) value: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A pool on a database with the table.
pub(crate) async fn pool(engine: Engine, tune: impl FnOnce(&mut Config)) -> (Pool, Database) {
    let database = database(engine).await;
    let mut config = Config::new("test", database.url());
    tune(&mut config);
    let pool = Pool::open(config).await.expect("the test's database answers");
    let table = "CREATE TABLE counter (id INTEGER PRIMARY KEY, value BIGINT NOT NULL)";
    pool.execute_unprepared(table).await.expect("a table");
    (pool, database)
}

pub(crate) async fn value(pool: &Pool, id: i32) -> Option<i64> {
    Entity::find_by_id(id).one(pool).await.expect("a read").map(|row| row.value)
}

#[tokio::test]
async fn entities_are_used_as_always() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |_| {}).await;
        let named = pool.named("counter_insert", Class::Normal);
        for id in 1..=3 {
            let row = ActiveModel { id: Set(id), value: Set(10 * i64::from(id)) };
            let inserted = row.insert(&named).await.expect("an insert with RETURNING");
            assert_eq!(inserted, Model { id, value: 10 * i64::from(id) });
        }
        let mut changed: ActiveModel = Entity::find_by_id(2).one(&pool).await.unwrap().unwrap().into();
        changed.value = Set(-1);
        changed.update(&pool).await.expect("an update");
        Entity::delete_by_id(3).exec(&pool).await.expect("a delete");
        let rows = Entity::find().order_by_asc(Column::Id).all(&pool).await.expect("a list");
        assert_eq!(rows, [Model { id: 1, value: 10 }, Model { id: 2, value: -1 }]);

        let again = ActiveModel { id: Set(1), value: Set(0) }.insert(&pool).await.expect_err("the key is taken");
        assert!(is_unique_violation(&again), "{again}");
        let seen = pool.snapshot();
        assert_eq!(seen.in_use, 0);
        assert!(seen.open <= 2, "one after the other needs one connection, and one to spare: {seen:?}");
    }
}

#[tokio::test]
async fn a_stream_holds_one_connection_until_it_is_dropped() {
    for engine in engines() {
        let (pool, _database) = pool(engine, |config| config.limit = 2).await;
        let rows = (1..=100).map(|id| ActiveModel { id: Set(id), value: Set(1) });
        Entity::insert_many(rows).exec_without_returning(&pool).await.expect("rows");

        let query = Entity::find().order_by_asc(Column::Id);
        let all: Vec<Model> = query.clone().stream(&pool).await.unwrap().try_collect().await.expect("all rows");
        assert_eq!(all.len(), 100);
        assert_eq!(pool.snapshot().in_use, 0);

        let statement = sea_orm::QueryTrait::build(&query, pool.backend());
        let mut some = pool.stream_raw(statement).await.expect("a stream");
        assert!(some.try_next().await.expect("a row").is_some());
        assert_eq!(pool.snapshot().in_use, 1);
        drop(some);
        // It was in the middle of something: cleaned or closed, not handed out before.
        let back = async || pool.snapshot().in_use == 0;
        selvage_testkit::eventually(std::time::Duration::from_secs(5), "the slot comes back", back).await;
        assert_eq!(value(&pool, 7).await, Some(1));
    }
}
