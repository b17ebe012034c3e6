use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Whatever changes products or variants, ours or not, announces it on `catalogue_changed` when it is committed, so that
/// no replica shows what it read before:
///
/// - `=` and slugs with spaces between them: their pages have changed, and no listing (stock that stays above or at none);
/// - `!` and slugs: their pages, and listings;
/// - `*`: anything. Also what is longer than a payload may be: 8,000 bytes, some 65 of the longest slugs.
///
/// One trigger a statement, not a row: an import of 100 products announces a few times, and PostgreSQL itself drops
/// repetitions within a transaction. A trigger sees both tables of an update, and may name one event alone with them.
const ANNOUNCE: &str = "
CREATE FUNCTION catalogue_announce(scope TEXT, slugs TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    IF slugs IS NULL THEN
        RETURN; -- A statement that met no row.
    END IF;
    PERFORM pg_notify('catalogue_changed', CASE WHEN octet_length(slugs) < 7900 THEN scope || slugs ELSE '*' END);
END $$;

CREATE FUNCTION catalogue_product_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM catalogue_announce('!', (SELECT string_agg(slug, ' ') FROM changed));
    RETURN NULL;
END $$;
CREATE FUNCTION catalogue_variant_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM catalogue_announce('!', (SELECT string_agg(DISTINCT product, ' ') FROM changed));
    RETURN NULL;
END $$;
CREATE FUNCTION catalogue_product_updated() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM catalogue_announce('!', (
        SELECT string_agg(slug, ' ') FROM (SELECT slug FROM before UNION SELECT slug FROM changed) AS both_sides
    ));
    RETURN NULL;
END $$;
-- Nearly always an order's: listings show of stock only whether there is any.
CREATE FUNCTION catalogue_variant_updated() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    slugs TEXT;
    shown BOOLEAN;
BEGIN
    SELECT string_agg(DISTINCT slug, ' '), bool_or(differs) INTO slugs, shown FROM (
        SELECT changed.product AS slug,
            (before.stock > before.reserved, before.product, before.size, before.colour, before.colour_hex, before.price,
                before.withdrawn)
            IS DISTINCT FROM
            (changed.stock > changed.reserved, changed.product, changed.size, changed.colour, changed.colour_hex,
                changed.price, changed.withdrawn) AS differs
        FROM changed LEFT JOIN before ON before.sku = changed.sku
        UNION ALL
        SELECT product, FALSE FROM before
    ) AS both_sides;
    PERFORM catalogue_announce(CASE WHEN shown THEN '!' ELSE '=' END, slugs);
    RETURN NULL;
END $$;
CREATE FUNCTION catalogue_emptied() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('catalogue_changed', '*');
    RETURN NULL;
END $$;

CREATE TRIGGER announce_insert AFTER INSERT ON products REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_product_changed();
CREATE TRIGGER announce_delete AFTER DELETE ON products REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_product_changed();
CREATE TRIGGER announce_update AFTER UPDATE ON products REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_product_updated();
CREATE TRIGGER announce_truncate AFTER TRUNCATE ON products
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_emptied();
CREATE TRIGGER announce_insert AFTER INSERT ON variants REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_variant_changed();
CREATE TRIGGER announce_delete AFTER DELETE ON variants REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_variant_changed();
CREATE TRIGGER announce_update AFTER UPDATE ON variants REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_variant_updated();
CREATE TRIGGER announce_truncate AFTER TRUNCATE ON variants
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_emptied();
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A file of SQLite is one process's own, which counts its transactions itself.
        if manager.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        manager.get_connection().execute_unprepared(ANNOUNCE).await.map(drop)
    }
}
