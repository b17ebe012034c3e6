//! A span, as much of it as is printed.

use std::collections::BTreeMap;

use selvage_conventions::{db, error};

/// An operation of one service. Times are microseconds, since 1970 where they are points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) id: String,
    /// The span that it is a part of, if it says one.
    pub(super) parent: Option<String>,
    /// Other spans that it is linked to.
    pub(super) links: Vec<Link>,
    pub(super) service: String,
    pub(super) name: String,
    pub(super) start: u64,
    pub(super) duration: u64,
    pub(super) tags: BTreeMap<String, String>,
    /// The names of its events.
    pub(super) events: Vec<String>,
}

/// A span that another is linked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) trace: String,
    pub(super) span: String,
}

/// A wait for a connection: the pool, and the class that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait<'a> {
    pub(super) pool: &'a str,
    pub(super) class: Option<&'a str>,
}

impl Span {
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.duration)
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// The pool and class, if the span is a wait for a connection.
    pub(super) fn wait(&self) -> Option<Wait<'_>> {
        (self.name == db::POOL_WAIT)
            .then(|| Wait { pool: self.tag(db::POOL_NAME).unwrap_or("?"), class: self.tag(db::POOL_CLASS) })
    }

    /// Whether it is a statement in a database.
    pub(super) fn is_statement(&self) -> bool {
        self.tag("span.kind") == Some("client") && self.tag(db::SYSTEM_NAME).is_some()
    }

    /// What went wrong, in a word, if something did.
    pub(super) fn error(&self) -> Option<&str> {
        let failed = self.tag("error") == Some("true") || self.tag("otel.status_code") == Some("ERROR");
        failed.then(|| self.tag(error::TYPE).or(self.tag("otel.status_description")).unwrap_or("failed"))
    }
}
