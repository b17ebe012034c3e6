//! Statements as traces show them, found once for each text and not each time that it is sent.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::sql;

/// Texts that are remembered. A service has some dozens, and a few more where a list's length is in the text; what a process
/// makes up anew each time is described each time.
const MAX_TEXTS: usize = 512;
/// Longer texts aren't remembered: 512 of this length, twice, are 4 MiB at the most.
const MAX_TEXT_BYTES: usize = 4_096;

/// What of a statement may be seen by others.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) summary: Arc<str>,
    pub(crate) text: Arc<str>,
}

impl Described {
    fn of(text: &str) -> Self {
        Self { summary: sql::summary(text).into(), text: sql::without_values(text).into() }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Statements(RwLock<HashMap<Box<str>, Described>>);

impl Statements {
    pub(crate) fn described(&self, text: &str) -> Described {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        known.unwrap_or_else(|| self.learn(text))
    }

    fn learn(&self, text: &str) -> Described {
        let new = Described::of(text);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_TEXTS && text.len() <= MAX_TEXT_BYTES {
            known.insert(text.into(), new.clone());
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_remembered_up_to_a_bound() {
        let statements = Statements::default();
        let asked = |number: usize| statements.described(&format!("SELECT size FROM shirts LIMIT {number}"));
        let first = asked(0);
        assert_eq!((&*first.summary, &*first.text), ("SELECT shirts", "SELECT size FROM shirts LIMIT ?"));
        assert!(Arc::ptr_eq(&first.text, &asked(0).text), "the same one");
        for number in 0..2 * MAX_TEXTS {
            assert_eq!(asked(number).text, first.text);
        }
        assert_eq!(statements.0.read().unwrap().len(), MAX_TEXTS);
        statements.described(&"-- long".repeat(MAX_TEXT_BYTES));
        assert_eq!(statements.0.read().unwrap().len(), MAX_TEXTS);
    }
}
