use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Plain SQL: the tables are alike on both engines but for full text, and read better so.
const TABLES: &str = "
CREATE TABLE categories (
    slug TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    blurb TEXT NOT NULL,
    position INTEGER NOT NULL
);
CREATE TABLE products (
    id {serial},
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description_html TEXT NOT NULL,
    category TEXT NOT NULL REFERENCES categories (slug),
    audience TEXT NOT NULL,
    material TEXT NOT NULL,
    care TEXT NOT NULL,
    tags {json} NOT NULL,
    image_urls {json} NOT NULL,
    picture {json} NOT NULL,
    colours {json} NOT NULL,
    currency TEXT NOT NULL,
    from_price BIGINT NOT NULL,
    from_compare_at BIGINT,
    price_varies BOOLEAN NOT NULL,
    fingerprint TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    search_title TEXT NOT NULL,
    search_kind TEXT NOT NULL,
    search_material TEXT NOT NULL,
    search_description TEXT NOT NULL{vector}
);
CREATE INDEX products_newest ON products (created_at DESC, slug);
CREATE INDEX products_category ON products (category, created_at DESC, slug);
CREATE INDEX products_price ON products (from_price, slug);
CREATE INDEX products_title ON products (title, slug);
CREATE TABLE variants (
    sku TEXT PRIMARY KEY,
    product TEXT NOT NULL REFERENCES products (slug),
    position INTEGER NOT NULL,
    size TEXT NOT NULL,
    colour TEXT NOT NULL,
    colour_hex TEXT NOT NULL,
    price BIGINT NOT NULL CHECK (price >= 0),
    compare_at BIGINT,
    grams INTEGER NOT NULL,
    stock INTEGER NOT NULL,
    reserved INTEGER NOT NULL DEFAULT 0,
    CHECK (reserved >= 0 AND stock >= reserved)
);
CREATE INDEX variants_product ON variants (product, position);
CREATE TABLE reservations (
    id {uuid} PRIMARY KEY,
    state TEXT NOT NULL,
    lines {json} NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX reservations_held ON reservations (expires_at) WHERE state = 'held';
CREATE TABLE stock_adjustments (
    request_id {uuid} PRIMARY KEY,
    sku TEXT NOT NULL,
    delta INTEGER NOT NULL,
    adjusted_at BIGINT NOT NULL
);
";

const POSTGRES_VECTOR: &str = ",
    search tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', search_title), 'A') || setweight(to_tsvector('simple', search_kind), 'B') ||
        setweight(to_tsvector('simple', search_material), 'C') || setweight(to_tsvector('simple', search_description), 'D')
    ) STORED";
const POSTGRES_INDEX: &str = "CREATE INDEX products_search ON products USING GIN (search)";

/// FTS5 keeps its index beside the table, and triggers keep the two in step.
const SQLITE_SEARCH: &str = "
CREATE VIRTUAL TABLE product_search USING fts5 (
    search_title, search_kind, search_material, search_description, content = 'products', content_rowid = 'id'
);
CREATE TRIGGER product_search_insert AFTER INSERT ON products BEGIN
    INSERT INTO product_search (rowid, search_title, search_kind, search_material, search_description)
    VALUES (new.id, new.search_title, new.search_kind, new.search_material, new.search_description);
END;
CREATE TRIGGER product_search_delete AFTER DELETE ON products BEGIN
    INSERT INTO product_search (product_search, rowid, search_title, search_kind, search_material, search_description)
    VALUES ('delete', old.id, old.search_title, old.search_kind, old.search_material, old.search_description);
END;
CREATE TRIGGER product_search_update AFTER UPDATE ON products BEGIN
    INSERT INTO product_search (product_search, rowid, search_title, search_kind, search_material, search_description)
    VALUES ('delete', old.id, old.search_title, old.search_kind, old.search_material, old.search_description);
    INSERT INTO product_search (rowid, search_title, search_kind, search_material, search_description)
    VALUES (new.id, new.search_title, new.search_kind, new.search_material, new.search_description);
END;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == DbBackend::Postgres;
        let [serial, json, uuid, vector] = if postgres {
            ["BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "JSONB", "UUID", POSTGRES_VECTOR]
        } else {
            ["INTEGER PRIMARY KEY", "TEXT", "BLOB", ""]
        };
        let tables = TABLES
            .replace("{serial}", serial)
            .replace("{json}", json)
            .replace("{uuid}", uuid)
            .replace("{vector}", vector);
        let db = manager.get_connection();
        db.execute_unprepared(&tables).await?;
        db.execute_unprepared(if postgres { POSTGRES_INDEX } else { SQLITE_SEARCH }).await.map(drop)
    }
}
