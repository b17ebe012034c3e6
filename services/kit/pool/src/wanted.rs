//! Which server is wanted of those that an address names: libpq's `target_session_attrs`.

use sqlx::postgres::Postgres;
use sqlx::{Executor, Row as _};

/// Which server is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The first that answers.
    Any,
    /// One that takes writes.
    ReadWrite,
    /// One that doesn't.
    ReadOnly,
    /// One that isn't a standby, whether it takes writes or not.
    Primary,
    /// One that is a standby.
    Standby,
    /// A standby; if there is none, the first that answers.
    PreferStandby,
}

impl Wanted {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => return None,
        })
    }

    /// What is looked for first, and what if no server is so.
    pub(crate) fn in_turn(self) -> &'static [Self] {
        match self {
            Self::Any => &[Self::Any],
            Self::ReadWrite => &[Self::ReadWrite],
            Self::ReadOnly => &[Self::ReadOnly],
            Self::Primary => &[Self::Primary],
            Self::Standby => &[Self::Standby],
            Self::PreferStandby => &[Self::Standby, Self::Any],
        }
    }

    /// Whether a server must be of one kind.
    pub(crate) fn is_demanding(self) -> bool {
        !matches!(self, Self::Any | Self::PreferStandby)
    }

    /// Whether a server of this role is wanted.
    pub(crate) fn is(self, role: Role) -> bool {
        match self {
            Self::Any | Self::PreferStandby => true,
            Self::ReadWrite => !role.read_only,
            Self::ReadOnly => role.read_only,
            Self::Primary => !role.standby,
            Self::Standby => role.standby,
        }
    }
}

/// What a server is to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    standby: bool,
    /// It takes no writes, as a standby or because it was told not to.
    read_only: bool,
}

impl Role {
    /// Asks the server.
    pub(crate) async fn of<'c>(session: impl Executor<'c, Database = Postgres>) -> Result<Self, sqlx::Error> {
        // Not prepared: one round trip.
        let sql = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean";
        let row = sqlx::raw_sql(sql).fetch_one(session).await?;
        Ok(Self { standby: row.try_get(0)?, read_only: row.try_get(1)? })
    }

    /// What it is, to be put after a server's name.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self { standby: true, .. } => "is a standby",
            Self { read_only: true, .. } => "takes no writes",
            Self { .. } => "takes writes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_wanted_as_libpq_wants_it() {
        let primary = Role { standby: false, read_only: false };
        let frozen = Role { standby: false, read_only: true };
        let standby = Role { standby: true, read_only: true };
        for (wanted, expected) in [
            ("any", [true, true, true]),
            ("read-write", [true, false, false]),
            ("read-only", [false, true, true]),
            ("primary", [true, true, false]),
            ("standby", [false, false, true]),
            ("prefer-standby", [true, true, true]),
        ] {
            let wanted = Wanted::parse(wanted).unwrap();
            assert_eq!([primary, frozen, standby].map(|role| wanted.is(role)), expected, "{wanted:?}");
        }
        assert_eq!(Wanted::PreferStandby.in_turn(), [Wanted::Standby, Wanted::Any]);
        assert_eq!(Wanted::parse("READ-WRITE"), None);
    }
}
