//! Text on a terminal.

/// Text that others wrote, safe to show: nothing in it moves the cursor or turns the direction, and it has no more letters than `most`.
pub(crate) fn clean(text: &str, most: usize) -> String {
    let moves =
        |letter: char| letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut letters = text.chars().map(|letter| if moves(letter) { '\u{fffd}' } else { letter });
    let mut shown: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// A column of a table.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Numbers stand at the right.
    pub(crate) is_number: bool,
}

/// Words.
pub(crate) const fn words(title: &'static str) -> Column {
    Column { title, is_number: false }
}

/// Numbers.
pub(crate) const fn number(title: &'static str) -> Column {
    Column { title, is_number: true }
}

/// Rows as lines, each column as wide as what is in it. Two spaces stand between columns, and none at a line's end.
pub(crate) fn table(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let titles = columns.iter().map(|column| column.title.to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&titles).chain(rows).collect();
    let width = |index: usize| all.iter().map(|row| row[index].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(columns.iter().zip(&widths)).map(|(cell, (column, width))| {
            if column.is_number { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_harmless() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}", 9), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(clean("abcdef", 3), "abc…");
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = [vec!["cart".to_owned(), "12".to_owned()], vec!["a".to_owned(), "3".to_owned()]];
        assert_eq!(table(&[words("POD"), number("OPEN")], &rows), ["POD   OPEN", "cart    12", "a        3"]);
        assert_eq!(table(&[number("N"), words("POD")], &rows), ["   N  POD", "cart  12", "   a  3"]);
    }
}
