//! Rows that are read each by itself, and failures that are of one row.

use sea_orm::{ConnectionTrait as _, Statement};
use selvage_pool::{Config, Each, Pool, StoreError, each_first, from_json};
use selvage_testkit::{Engine, database, engines};

#[tokio::test]
async fn a_damaged_row_is_told_apart_and_the_others_are_read() {
    for engine in engines() {
        let database = database(engine).await;
        let pool = Pool::open(Config::new("each", database.url())).await.unwrap();
        let kind = if engine == Engine::Postgres { "JSONB" } else { "TEXT" };
        pool.execute_unprepared(&format!("CREATE TABLE shelves (id INTEGER PRIMARY KEY, holds {kind} CHECK (id < 9))"))
            .await
            .unwrap();
        let rows = "INSERT INTO shelves VALUES (1, '[1]'), (2, '{}'), (3, '[3]')";
        pool.execute_unprepared(rows).await.unwrap();
        let select = async |sql: &str| pool.query_all_raw(Statement::from_string(pool.backend(), sql)).await.unwrap();
        let rows = select("SELECT id, holds FROM shelves ORDER BY id").await;
        let each = Each::of(rows, |row| {
            let holds = row.try_get::<sea_orm::JsonValue>("", "holds").map_err(StoreError::from)?;
            from_json::<Vec<i32>>("what it holds", holds)
        });
        assert_eq!(each.read, [[1], [3]], "{engine:?}");
        let [(row, why)] = &each.damaged[..] else { panic!("{engine:?}: one is damaged") };
        assert_eq!((row.try_get::<i32>("", "id").unwrap(), why.is_of_one_row()), (2, true), "{engine:?}");
        assert_eq!(each.or_pass_over("shelves", "id").len(), 2);
        assert_eq!(each_first::<i32>("shelves", select("SELECT id FROM shelves ORDER BY id").await), [1, 2, 3]);

        // What the table's rules refuse is of a row too; a statement that is wrong, or a table that isn't there, is of none.
        for (sql, is_of_one_row) in [
            ("INSERT INTO shelves VALUES (1, '[]')", true),
            ("INSERT INTO shelves VALUES (9, '[]')", true),
            ("INSERT INTO nowhere VALUES (1)", false),
            ("INSERT INTO", false),
        ] {
            let refused = StoreError::from(pool.execute_unprepared(sql).await.unwrap_err());
            assert_eq!(refused.is_of_one_row(), is_of_one_row, "{engine:?}: {sql}: {refused}");
        }
    }
}
