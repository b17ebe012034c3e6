//! What of a statement may be seen by others: what it does to which tables, and its text without values.

/// The longest summary, as the conventions say.
const MAX_SUMMARY_BYTES: usize = 255;
/// Longer texts are cut off: ours have up to 1.5 KiB, and the rest of one tells nobody anything.
const MAX_TEXT_BYTES: usize = 2_048;
/// What stands for a value.
const VALUE: &str = "?";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A keyword or a plain name.
    Word(&'a str),
    /// A name in double quotes, without them.
    Name(&'a str),
    /// A string, a number, a blob.
    Value,
    /// `$1`, `?`.
    Parameter(&'a str),
    /// Anything else, one character; white space and comments are one blank.
    Other(char),
}

/// The next token of `sql`, and what follows it.
fn token(sql: &str) -> Option<(Token<'_>, &str)> {
    let first = sql.chars().next()?;
    let split = |length: usize| sql.split_at(length.min(sql.len()));
    let until = |end: fn(char) -> bool| split(sql.find(end).unwrap_or(sql.len()));
    let in_name = |c: char| !(c.is_alphanumeric() || c == '_' || c == '$');
    Some(match first {
        c if c.is_whitespace() => (Token::Other(' '), until(|c| !c.is_whitespace()).1),
        '-' if sql.starts_with("--") => (Token::Other(' '), until(|c| c == '\n').1),
        '/' if sql.starts_with("/*") => (Token::Other(' '), sql.split_once("*/").map_or("", |(_, rest)| rest)),
        '\'' => (Token::Value, after_quoted(&sql[1..], '\'').1),
        '"' => {
            let (name, rest) = after_quoted(&sql[1..], '"');
            (Token::Name(name), rest)
        }
        '$' => {
            let (tag, rest) = split(1 + sql[1..].find(in_name_or_dollar).unwrap_or(sql.len() - 1));
            match rest.strip_prefix('$') {
                // A string between dollars: $$…$$ or $tag$…$tag$.
                Some(rest) if !tag[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    let end = format!("{tag}$");
                    (Token::Value, rest.split_once(&end).map_or("", |(_, rest)| rest))
                }
                _ => (Token::Parameter(tag), rest),
            }
        }
        '?' => {
            let (mark, rest) = split(1 + sql[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(sql.len() - 1));
            (Token::Parameter(mark), rest)
        }
        // x'ff', E'\n' and their like.
        'x' | 'X' | 'e' | 'E' | 'b' | 'B' if sql[1..].starts_with('\'') => {
            (Token::Value, after_quoted(&sql[2..], '\'').1)
        }
        c if c.is_ascii_digit() => {
            let end = |c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_');
            (Token::Value, until(end).1)
        }
        c if c.is_alphabetic() || c == '_' => {
            let (word, rest) = until(in_name);
            (Token::Word(word), rest)
        }
        c => (Token::Other(c), &sql[c.len_utf8()..]),
    })
}

fn in_name_or_dollar(c: char) -> bool {
    !(c.is_alphanumeric() || c == '_')
}

/// What stands before the closing `quote`, and what follows it; doubled it closes nothing.
fn after_quoted(sql: &str, quote: char) -> (&str, &str) {
    let mut from = 0;
    while let Some(at) = sql[from..].find(quote).map(|at| from + at) {
        if sql[at + 1..].starts_with(quote) {
            from = at + 2;
        } else {
            return (&sql[..at], &sql[at + 1..]);
        }
    }
    (sql, "")
}

fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        let (token, after) = token(rest)?;
        rest = after;
        Some(token)
    })
}

/// `sql` with its values taken out, at most 2 KiB of it. Parameters stay: they tell no value.
pub(crate) fn without_values(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len().min(MAX_TEXT_BYTES));
    for token in tokens(sql) {
        if text.len() > MAX_TEXT_BYTES {
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
            text.push('…');
            break;
        }
        match token {
            Token::Word(word) | Token::Parameter(word) => text.push_str(word),
            Token::Name(name) => text.extend(["\"", name, "\""]),
            Token::Value => text.push_str(VALUE),
            Token::Other(' ') if text.ends_with(' ') => {}
            Token::Other(c) => text.push(c),
        }
    }
    text
}

/// What `sql` does to which tables, "SELECT products" or "UPDATE stock SELECT stock", by the conventions for
/// `db.query.summary`. Names of common table expressions are none of tables. What a statement does to the same tables
/// several times, as an insertion of many rows with a look-up for each, is in it once.
pub(crate) fn summary(sql: &str) -> String {
    let tokens: Vec<_> = tokens(sql).filter(|token| !matches!(token, Token::Other(' '))).collect();
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => word.to_ascii_uppercase(),
        _ => String::new(),
    };
    let before = |at: usize, by: usize| at.checked_sub(by).map(word).unwrap_or_default();
    let (mut parts, mut expressions): (Vec<Vec<String>>, Vec<&str>) = (Vec::new(), Vec::new());
    for at in 0..tokens.len() {
        let table = match word(at).as_str() {
            "AS" if tokens.get(at + 1) == Some(&Token::Other('(')) => {
                let name = at.checked_sub(1).and_then(|at| name(&tokens, at));
                expressions.extend(name);
                None
            }
            operation @ ("SELECT" | "INSERT" | "DELETE") => {
                parts.push(vec![operation.to_owned()]);
                None
            }
            // FOR UPDATE locks, and ON CONFLICT DO UPDATE is part of an INSERT.
            "UPDATE" if !matches!(before(at, 1).as_str(), "FOR" | "DO" | "KEY") => {
                parts.push(vec!["UPDATE".to_owned()]);
                Some(at + 1)
            }
            "INTO" | "JOIN" => Some(at + 1),
            "FROM" if before(at, 1) != "DISTINCT" => Some(at + 1),
            _ => None,
        };
        if let Some(table) = table.and_then(|at| name(&tokens, at))
            && !expressions.contains(&table)
        {
            match parts.last_mut() {
                Some(part) => part.push(table.to_owned()),
                None => parts.push(vec![table.to_owned()]),
            }
        }
    }
    if parts.is_empty() {
        // BEGIN, LISTEN shelves, CREATE TABLE …
        let words = tokens.iter().map_while(|token| match token {
            Token::Word(word) => Some(word.to_ascii_uppercase()),
            _ => None,
        });
        parts = words.take(2).map(|word| vec![word]).collect();
    }
    let mut once: Vec<&Vec<String>> = Vec::new();
    for part in &parts {
        if !once.contains(&part) {
            once.push(part);
        }
    }
    let mut summary = once.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    summary.truncate(summary.floor_char_boundary(MAX_SUMMARY_BYTES));
    summary
}

/// The name at `at`, the last part of it where it is qualified; none where a parenthesis opens.
fn name<'a>(tokens: &[Token<'a>], at: usize) -> Option<&'a str> {
    let own = match tokens.get(at)? {
        Token::Word(word) => *word,
        Token::Name(name) => *name,
        _ => return None,
    };
    if tokens.get(at + 1) == Some(&Token::Other('.')) { name(tokens, at + 2) } else { Some(own) }
}

/// Whether `sql` only reads, told by its words. Where that errs, a reader of a SQLite file waits for its turn as a writer does, or
/// a writer polls the file's lock: slower, never wrong.
pub(crate) fn only_reads(sql: &str) -> bool {
    let mut words = words(sql);
    let Some(first) = words.next() else { return true };
    if first.eq_ignore_ascii_case("WITH") {
        return !words.any(|word| is_one_of(word, &["INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"]));
    }
    is_one_of(first, &["SELECT", "VALUES", "EXPLAIN", "PRAGMA", "SHOW"])
}

/// Whether `sql`, sent by itself, is one transaction: all of it is done or nothing. A procedure or a block of code may commit
/// in the middle.
pub(crate) fn is_one_transaction(sql: &str) -> bool {
    let ordinary = ["SELECT", "VALUES", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE"];
    words(sql).next().is_some_and(|first| is_one_of(first, &ordinary))
}

fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

fn is_one_of(word: &str, known: &[&str]) -> bool {
    known.iter().any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_statement_is_summed_up_by_what_it_does_to_which_tables() {
        for (sql, expected) in [
            (r#"SELECT "products"."id" FROM "products" WHERE "id" = $1"#, "SELECT products"),
            ("select * from public.products p join variants v on v.p = p.id", "SELECT products variants"),
            (r#"INSERT INTO "orders" ("id") VALUES ($1) ON CONFLICT ("id") DO UPDATE SET "a" = $2"#, "INSERT orders"),
            ("UPDATE stock SET held = held + $1 WHERE sku = $2", "UPDATE stock"),
            ("DELETE FROM carts WHERE expires_at < $1", "DELETE carts"),
            (
                "WITH due AS (SELECT key FROM outbox_messages FOR UPDATE SKIP LOCKED) UPDATE outbox_messages o SET a = 1 FROM due",
                "SELECT outbox_messages UPDATE outbox_messages",
            ),
            (
                "INSERT INTO lines (n) VALUES ((SELECT max(n) FROM lines) + 1), ((SELECT max(n) FROM lines) + 2)",
                "INSERT lines SELECT lines",
            ),
            ("SELECT 1 WHERE a IS DISTINCT FROM b", "SELECT"),
            ("COMMIT", "COMMIT"),
            ("LISTEN shelves", "LISTEN SHELVES"),
            ("CREATE TABLE IF NOT EXISTS x (a int)", "CREATE TABLE"),
            ("", ""),
        ] {
            assert_eq!(summary(sql), expected, "{sql}");
        }
    }

    #[test]
    fn values_are_taken_out_and_parameters_stay() {
        for (sql, expected) in [
            ("SELECT 'it''s me', 42, 1.5e3 FROM t2 WHERE a = $1", "SELECT ?, ?, ? FROM t2 WHERE a = $1"),
            ("x = E'a' AND y = x'ff' -- why\nAND z = $tag$secret$tag$", "x = ? AND y = ? AND z = ?"),
            (r#"SELECT "odd 'name" /* note */ FROM t"#, r#"SELECT "odd 'name" FROM t"#),
            ("a = ?1 AND b = ?", "a = ?1 AND b = ?"),
            ("open = 'never closed", "open = ?"),
            ("open = $$never closed", "open = ?"),
        ] {
            assert_eq!(without_values(sql), expected);
        }
        assert!(without_values(&"a ".repeat(5_000)).len() <= MAX_TEXT_BYTES + '…'.len_utf8());
    }

    #[test]
    fn what_reads_is_told_from_what_writes() {
        for reads in ["SELECT 1", "  select 1", "(SELECT 1)", "VALUES (1)", "WITH a AS (SELECT 1) SELECT * FROM a", ""]
        {
            assert!(only_reads(reads), "{reads}");
        }
        for writes in ["INSERT INTO a VALUES (1)", "update a set b = 1", "WITH a AS (SELECT 1) DELETE FROM b", "VACUUM"]
        {
            assert!(!only_reads(writes), "{writes}");
        }
    }

    #[test]
    fn what_may_commit_in_the_middle_is_no_one_transaction() {
        for one in ["SELECT 1", "(select 1)", "insert into a values (1)", "WITH a AS (SELECT 1) DELETE FROM b"] {
            assert!(is_one_transaction(one), "{one}");
        }
        for other in ["CALL tidy_up()", "DO $$ BEGIN COMMIT; END $$", "VACUUM", "BEGIN", ""] {
            assert!(!is_one_transaction(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_to_its_end(sql in "\\PC{0,200}") {
            let _ = (summary(&sql), without_values(&sql));
        }

        #[test]
        fn no_string_is_seen(secret in "[a-z]{12}", before in "[ a-z0-9=,.()$?]{0,30}") {
            let sql = format!("{before} '{secret}' {before}");
            prop_assert!(!without_values(&sql).contains(&secret));
        }
    }
}
