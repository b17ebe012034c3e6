use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Whatever changes products, variants or categories, ours or not, is noted in a log, which the replicas read. `listed` says
/// that listings show the change; of stock they show only whether there is any. The product `*` is everything.
///
/// PostgreSQL: a row for each product that a transaction changed, by the transaction's number, so that a reader can tell what was
/// committed since a snapshot. Whoever writes waits for nobody: it writes rows of its own. A trigger for a statement, not for a row, as
/// before. The tables of both sides are joined in full, which is done by their hashes, however many rows there are. What is visible in
/// the snapshot `purged` may be gone from the log; `noted` is what `purged` becomes when it is old enough.
///
/// What `m20261126_000003_announce` announces is still announced, because replicas of the release before listen during a roll-out; but
/// not a change of stock alone: transactions that notify are committed one after another, each with a flush of its own, and those are
/// orders. Of stock such replicas hear by their copies' age, 30 s. A later release drops `catalogue_announce`, and of the functions
/// here all that calls it or `pg_notify`.
const POSTGRES: &str = "
CREATE TABLE catalogue_changes (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    product TEXT NOT NULL,
    listed BOOLEAN NOT NULL,
    PRIMARY KEY (xid, product)
);
CREATE TABLE catalogue_purge (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    purged pg_snapshot NOT NULL,
    noted pg_snapshot NOT NULL,
    noted_at TIMESTAMPTZ NOT NULL
);
INSERT INTO catalogue_purge VALUES (1, pg_current_snapshot(), pg_current_snapshot(), now());

CREATE OR REPLACE FUNCTION catalogue_product_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalogue_changes (product, listed) SELECT slug, TRUE FROM changed
    ON CONFLICT (xid, product) DO UPDATE SET listed = TRUE WHERE NOT catalogue_changes.listed;
    PERFORM catalogue_announce('!', (SELECT string_agg(slug, ' ') FROM changed));
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION catalogue_product_updated() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalogue_changes (product, listed) SELECT slug, TRUE FROM before UNION SELECT slug, TRUE FROM changed
    ON CONFLICT (xid, product) DO UPDATE SET listed = TRUE WHERE NOT catalogue_changes.listed;
    PERFORM catalogue_announce('!', (
        SELECT string_agg(slug, ' ') FROM (SELECT slug FROM before UNION SELECT slug FROM changed) AS both_sides
    ));
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION catalogue_variant_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalogue_changes (product, listed) SELECT DISTINCT product, TRUE FROM changed
    ON CONFLICT (xid, product) DO UPDATE SET listed = TRUE WHERE NOT catalogue_changes.listed;
    PERFORM catalogue_announce('!', (SELECT string_agg(DISTINCT product, ' ') FROM changed));
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION catalogue_variant_updated() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    slugs TEXT;
    shown BOOLEAN;
BEGIN
    INSERT INTO catalogue_changes (product, listed)
    SELECT side.product, bool_or(
        (before.stock > before.reserved, before.product, before.size, before.colour, before.colour_hex, before.price,
            before.withdrawn)
        IS DISTINCT FROM
        (changed.stock > changed.reserved, changed.product, changed.size, changed.colour, changed.colour_hex,
            changed.price, changed.withdrawn)
    )
    FROM before FULL JOIN changed USING (sku)
        CROSS JOIN LATERAL (VALUES (before.product), (changed.product)) AS side (product)
    WHERE side.product IS NOT NULL
    GROUP BY side.product
    ON CONFLICT (xid, product) DO UPDATE SET listed = TRUE WHERE excluded.listed AND NOT catalogue_changes.listed;

    SELECT string_agg(DISTINCT side.product, ' '), bool_or(
        (before.product, before.size, before.colour, before.colour_hex, before.price, before.withdrawn)
        IS DISTINCT FROM
        (changed.product, changed.size, changed.colour, changed.colour_hex, changed.price, changed.withdrawn)
    )
    INTO slugs, shown
    FROM before FULL JOIN changed USING (sku)
        CROSS JOIN LATERAL (VALUES (before.product), (changed.product)) AS side (product)
    WHERE (before.product, before.position, before.size, before.colour, before.colour_hex, before.price,
            before.compare_at, before.grams, before.withdrawn)
        IS DISTINCT FROM
        (changed.product, changed.position, changed.size, changed.colour, changed.colour_hex, changed.price,
            changed.compare_at, changed.grams, changed.withdrawn);
    PERFORM catalogue_announce(CASE WHEN shown THEN '!' ELSE '=' END, slugs);
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION catalogue_emptied() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalogue_changes (product, listed) VALUES ('*', TRUE) ON CONFLICT (xid, product) DO NOTHING;
    PERFORM pg_notify('catalogue_changed', '*');
    RETURN NULL;
END $$;
CREATE FUNCTION catalogue_category_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalogue_changes (product, listed) VALUES ('*', TRUE) ON CONFLICT (xid, product) DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER log_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON categories
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_category_changed();
";

/// SQLite: a file has one writer at a time, so that rows are numbered in the order of their commits. A product that changes
/// again is moved to the end: the log has two rows for each product at the most, and needs no purge.
const SQLITE: &str = "
CREATE TABLE catalogue_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    product TEXT NOT NULL,
    listed BOOLEAN NOT NULL,
    UNIQUE (product, listed)
);
CREATE TRIGGER log_change BEFORE INSERT ON catalogue_changes BEGIN
    DELETE FROM catalogue_changes WHERE product = new.product AND listed = new.listed;
END;
CREATE TRIGGER log_product_insert AFTER INSERT ON products BEGIN
    INSERT INTO catalogue_changes (product, listed) VALUES (new.slug, TRUE);
END;
CREATE TRIGGER log_product_delete AFTER DELETE ON products BEGIN
    INSERT INTO catalogue_changes (product, listed) VALUES (old.slug, TRUE);
END;
CREATE TRIGGER log_product_update AFTER UPDATE ON products BEGIN
    INSERT INTO catalogue_changes (product, listed) SELECT old.slug, TRUE UNION SELECT new.slug, TRUE;
END;
CREATE TRIGGER log_variant_insert AFTER INSERT ON variants BEGIN
    INSERT INTO catalogue_changes (product, listed) VALUES (new.product, TRUE);
END;
CREATE TRIGGER log_variant_delete AFTER DELETE ON variants BEGIN
    INSERT INTO catalogue_changes (product, listed) VALUES (old.product, TRUE);
END;
CREATE TRIGGER log_variant_update AFTER UPDATE ON variants BEGIN
    INSERT INTO catalogue_changes (product, listed)
    SELECT product,
        (old.stock > old.reserved, old.product, old.size, old.colour, old.colour_hex, old.price, old.withdrawn)
        IS NOT
        (new.stock > new.reserved, new.product, new.size, new.colour, new.colour_hex, new.price, new.withdrawn)
    FROM (SELECT old.product AS product UNION SELECT new.product);
END;
CREATE TRIGGER log_category_insert AFTER INSERT ON categories BEGIN
    INSERT INTO catalogue_changes (product, listed) VALUES ('*', TRUE);
END;
CREATE TRIGGER log_category_delete AFTER DELETE ON categories BEGIN
    INSERT INTO catalogue_changes (product, listed) VALUES ('*', TRUE);
END;
CREATE TRIGGER log_category_update AFTER UPDATE ON categories BEGIN
    INSERT INTO catalogue_changes (product, listed) VALUES ('*', TRUE);
END;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let log = if manager.get_database_backend() == DbBackend::Postgres { POSTGRES } else { SQLITE };
        manager.get_connection().execute_unprepared(log).await.map(drop)
    }
}
