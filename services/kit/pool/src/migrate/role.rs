//! The role that a service runs as: what it may do with the tables, and how much of the server is its.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{Failed, NO_SCHEMA};
use crate::failure::is_forbidden;

/// The longest name that PostgreSQL keeps whole.
const MAX_NAME_BYTES: usize = 63;
/// From this version on, CREATEROLE is not enough to change a role: one must also be its admin.
const ADMINS_NEEDED_FROM: i32 = 160_000;

/// The role that a service runs as, where another one owns the database (PostgreSQL). It may read and write the rows of every
/// table in the schema in which the migrations make theirs, the first of the `search_path`, and nothing more: not change the schema, nor the list of migrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role<'a> {
    /// Its name, which may have any letters.
    pub name: &'a str,
    /// Connections that it may have at a time, all its clients together; as it is if `None`.
    pub connections: Option<u32>,
    /// How long a statement of it may take, unless its session says otherwise; as it is if `None`.
    pub statement_timeout: Option<Duration>,
}

impl<'a> Role<'a> {
    /// The role of this name, with the limits that it has.
    pub fn named(name: &'a str) -> Self {
        Self { name, connections: None, statement_timeout: None }
    }

    /// What is wrong with its name, if anything is.
    pub(super) fn check(&self) -> Result<(), String> {
        let name = self.name;
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
            return Err(format!("the role '{name}' must have a name of 1 to {MAX_NAME_BYTES} bytes"));
        }
        // To PostgreSQL these two are no names, even in quotes: what is granted to "public" is granted to everybody.
        if ["public", "none"].contains(&name) {
            return Err(format!("'{name}' is no role to PostgreSQL: name the one that the service runs as"));
        }
        Ok(())
    }

    /// The name as it stands in a statement.
    fn quoted(&self) -> String {
        quoted(self.name)
    }

    /// The statements that set its limits, each with a condition by which `pg_roles` says that it is set already.
    fn limits(&self) -> Vec<(String, String)> {
        let role = self.quoted();
        let connections = self.connections.map(|most| {
            (format!("ALTER ROLE {role} CONNECTION LIMIT {most}"), format!("coalesce(rolconnlimit = {most}, false)"))
        });
        let timeout = self.statement_timeout.map(|longest| {
            let ms = longest.as_millis();
            (
                format!("ALTER ROLE {role} SET statement_timeout = {ms}"),
                format!("coalesce('statement_timeout={ms}' = ANY (rolconfig), false)"),
            )
        });
        connections.into_iter().chain(timeout).collect()
    }
}

/// An identifier with whatever letters it has.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Gives the role what it may have, within the transaction `all`: a service whose schema is there finds its rights there too.
pub(super) async fn provide(all: &impl ConnectionTrait, role: &Role<'_>) -> Result<(), Failed> {
    let quoted = role.quoted();
    let limits = role.limits();
    let set: Vec<_> = limits.iter().map(|(_, is_set)| format!(", {is_set}")).collect();
    let look = format!(
        "SELECT current_setting('server_version_num')::int, current_user::text, current_schema()::text{} FROM pg_roles \
         WHERE rolname = $1",
        set.concat()
    );
    let look = Statement::from_sql_and_values(DbBackend::Postgres, look, [role.name.into()]);
    let Some(found) = all.query_one_raw(look).await? else {
        return Err(Failed::Said(format!("there is no role '{}': create it first", role.name)));
    };
    let (version, own): (i32, String) = (found.try_get_by_index(0)?, found.try_get_by_index(1)?);
    let Some(schema) = found.try_get_by_index::<Option<String>>(2)? else {
        return Err(Failed::Said(NO_SCHEMA.into()));
    };
    // Where the migrations have made their tables.
    let schema = self::quoted(&schema);
    let grant = format!(
        "GRANT USAGE ON SCHEMA {schema} TO {quoted};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {quoted};
         GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {quoted};
         REVOKE INSERT, UPDATE, DELETE ON {schema}.seaql_migrations FROM {quoted}"
    );
    all.execute_unprepared(&grant).await?;
    for (index, (statement, _)) in limits.iter().enumerate() {
        // What an administrator has set already needs no right to set it.
        if found.try_get_by_index(3 + index)? {
            continue;
        }
        match all.execute_unprepared(statement).await {
            Ok(_) => {}
            Err(error) if is_forbidden(&error) => {
                return Err(Failed::Said(remedy(version, &own, role.name, &limits)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What an administrator of a server of `version` does about it that `own` may not set the limits of `role`.
fn remedy(version: i32, own: &str, role: &str, limits: &[(String, String)]) -> String {
    let mut right = format!("ALTER ROLE {} CREATEROLE", quoted(own));
    if version >= ADMINS_NEEDED_FROM {
        right.push_str(&format!("; GRANT {} TO {} WITH ADMIN OPTION", quoted(role), quoted(own)));
    }
    let statements: Vec<_> = limits.iter().map(|(statement, _)| statement.as_str()).collect();
    format!(
        "the role '{own}' may not set the limits of '{role}': let an administrator of the server run `{right}`, or set them once by \
         `{}`",
        statements.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_letters_stays_one_name() {
        assert_eq!(Role::named("a\"; DROP TABLE note; --").quoted(), "\"a\"\"; DROP TABLE note; --\"");
        for wrong in ["", "public", "none", "a\0b", &"x".repeat(64)] {
            Role::named(wrong).check().expect_err(wrong);
        }
        for right in ["cart", "Ada's role", "public_role", &"x".repeat(63)] {
            assert_eq!(Role::named(right).check(), Ok(()), "{right}");
        }
    }

    #[test]
    fn the_remedy_is_the_one_of_the_servers_version() {
        let role = Role { connections: Some(20), ..Role::named("cart") };
        let before = remedy(150_018, "cart_owner", role.name, &role.limits());
        assert!(before.contains("`ALTER ROLE \"cart_owner\" CREATEROLE`") && !before.contains("ADMIN"), "{before}");
        let since = remedy(160_000, "cart_owner", role.name, &role.limits());
        assert!(since.contains("CREATEROLE; GRANT \"cart\" TO \"cart_owner\" WITH ADMIN OPTION`"), "{since}");
        assert!(since.contains("`ALTER ROLE \"cart\" CONNECTION LIMIT 20`"), "{since}");
    }
}
