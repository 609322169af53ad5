//! The width of text in a terminal, and cutting and wrapping text to a row's width.

use unicode_width::UnicodeWidthChar;

/// Columns of a character: 0 for combining ones, 2 for wide ones, 1 for control characters. A terminal may differ on rare
/// characters; the screen is drawn with wrapping off, so that a wrong guess costs a column and never a row.
pub(crate) fn char_width(c: char) -> usize {
    c.width().unwrap_or(1)
}

/// Columns of `text`.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// `text` as it may be shown: a tab is four spaces, other control characters are dots, line ends stay.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push(c),
            '\t' => out.push_str("    "),
            c if c.is_control() => out.push('·'),
            c => out.push(c),
        }
    }
    out
}

/// `row` cut to `columns`, with `…` at the end where something is missing.
pub(crate) fn cut(row: &str, columns: usize) -> String {
    if row.len() <= columns || width(row) <= columns {
        return row.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in row.chars() {
        used += char_width(c);
        if used + 1 > columns {
            break;
        }
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// `text` as rows of at most `columns`; at least one row.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut rows = Vec::new();
    for line in text.split('\n') {
        let (mut row, mut used) = (String::new(), 0);
        for c in line.chars() {
            let wide = char_width(c);
            if used + wide > columns {
                rows.push(std::mem::take(&mut row));
                used = 0;
            }
            row.push(c);
            used += wide;
        }
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_never_exceed_their_columns() {
        for text in
            ["", "abc", "漢字漢字", "a漢b字c", "🦜🦜🦜", "e\u{301}e\u{301}e\u{301}", "long long text\nand 漢 more"]
        {
            for columns in 2..12 {
                for line in text.split('\n') {
                    assert!(width(&cut(line, columns)) <= columns, "cut {text:?} to {columns}");
                }
                let rows = wrap(text, columns);
                assert!(rows.iter().all(|row| width(row) <= columns), "wrap {text:?} to {columns}: {rows:?}");
                assert_eq!(rows.concat(), text.replace('\n', ""), "nothing is lost");
            }
        }
    }

    #[test]
    fn nothing_shown_can_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\tc\u{9b}d\r\n"), "a·[2Jb    c·d·\n");
    }
}
