//! The Markdown that `docs/` uses, as roff: headings, paragraphs, lists, fences, tables, code, emphasis, links.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// The blocks that a page consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    /// A heading below the page's title.
    Heading(String),
    /// Text that flows.
    Paragraph(String),
    /// Lines that stay as they are.
    Verbatim(Vec<String>),
    /// The items of a list.
    List(Vec<String>),
    /// A table: its head, its rows.
    Table(Vec<String>, Vec<Vec<String>>),
}

/// The blocks of `text` after its title line.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines().filter(|line| !line.starts_with("# ") && !line.starts_with("<!--")).peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        if line.starts_with("```") {
            found.push(Block::Verbatim(lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect()));
        } else if let Some(line) = line.strip_prefix("    ") {
            let mut kept = vec![line.to_owned()];
            while let Some(line) = lines.next_if(|line| line.starts_with("    ")) {
                kept.push(line[4..].to_owned());
            }
            found.push(Block::Verbatim(kept));
        } else if let Some(heading) = line.strip_prefix("## ") {
            found.push(Block::Heading(heading.to_owned()));
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(line) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(line));
            }
            let head = rows.remove(0);
            // Without the rule below the head.
            rows.retain(|row| !row.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| "-:".contains(c))));
            found.push(Block::Table(head, rows));
        } else {
            let mut text = line.to_owned();
            while let Some(line) = lines.next_if(|line| flows_on(line)) {
                text = format!("{text} {}", line.trim());
            }
            match item(&text) {
                None => found.push(Block::Paragraph(text)),
                Some(item) => match found.last_mut() {
                    Some(Block::List(items)) => items.push(item.to_owned()),
                    _ => found.push(Block::List(vec![item.to_owned()])),
                },
            }
        }
    }
    found
}

fn flows_on(line: &str) -> bool {
    let begins = ["```", "## ", "|"].iter().any(|mark| line.starts_with(mark));
    !line.trim().is_empty() && !begins && item(line).is_none()
}

/// The text of a list's item: `- text`, `1. text`.
fn item(line: &str) -> Option<&str> {
    let numbered = || {
        let (number, text) = line.split_once(". ")?;
        (!number.is_empty() && number.chars().all(|c| c.is_ascii_digit())).then_some(text)
    };
    line.strip_prefix("- ").or_else(numbered)
}

/// The cells of a table's line. A bar in code is text.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut code = false;
    for c in line.trim().trim_start_matches('|').chars() {
        code ^= c == '`';
        match cells.last_mut() {
            Some(cell) if c != '|' || code => cell.push(c),
            _ => cells.push(String::new()),
        }
    }
    if cells.last().is_some_and(|cell| cell.trim().is_empty()) {
        cells.pop();
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Writes `blocks` below the section that `roff` is in.
pub(crate) fn write(roff: &mut Roff, blocks: &[Block]) {
    // A heading begins a new paragraph, which needs no `.PP`.
    let mut begun = true;
    for block in blocks {
        if matches!(block, Block::Paragraph(_) | Block::Verbatim(_)) && !begun {
            roff.control("PP", []);
        }
        begun = matches!(block, Block::Heading(_));
        match block {
            Block::Heading(text) => drop(roff.control("SS", [text.replace('`', "").as_str()])),
            Block::Paragraph(text) => drop(roff.text(inlines(text))),
            Block::Verbatim(lines) => verbatim(roff, lines),
            Block::List(items) => {
                for item in items {
                    roff.control("IP", ["-", "2"]).text(inlines(item));
                }
            }
            Block::Table(head, rows) => {
                for row in rows {
                    tagged(roff, row.first().map_or("", String::as_str), &described(head, row));
                }
            }
        }
    }
}

/// The cells of a row after the first. From the second of these on, each cell follows the head of its column.
fn described(head: &[String], row: &[String]) -> String {
    let cells = row.iter().zip(head).skip(1).filter(|(cell, _)| !cell.is_empty());
    let parts: Vec<String> = cells
        .enumerate()
        .map(|(at, (cell, head))| if at == 0 { cell.clone() } else { format!("{head}: {cell}") })
        .collect();
    parts.join("; ")
}

/// One entry of a list of terms.
pub(crate) fn tagged(roff: &mut Roff, term: &str, text: &str) {
    roff.control("TP", []).text(inlines(term));
    // A term without a text still needs a line after it.
    roff.text(inlines(if text.is_empty() { "\u{a0}" } else { text }));
}

/// Writes lines unchanged.
pub(crate) fn verbatim(roff: &mut Roff, lines: &[String]) {
    roff.control("nf", []);
    for line in lines {
        match line.is_empty() {
            true => drop(roff.control("sp", [])),
            false => drop(roff.text([roman(line)])),
        }
    }
    roff.control("fi", []);
}

/// Converts inline markup: code to bold, emphasis to italics, links to their text.
pub(crate) fn inlines(text: &str) -> Vec<Inline> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '[']) {
        let (before, marked) = rest.split_at(at);
        let span = span(marked, "`", "`")
            .map(|(inside, rest)| (bold(inside), rest))
            .or_else(|| span(marked, "**", "**").map(|(inside, rest)| (bold(inside), rest)))
            .or_else(|| span(marked, "*", "*").map(|(inside, rest)| (italic(inside), rest)))
            .or_else(|| {
                let (words, rest) = span(marked, "[", "](")?;
                Some((roman(words), rest.split_once(')')?.1))
            });
        match span {
            Some((inline, after)) => {
                out.extend([roman(before), inline]);
                rest = after;
            }
            None => {
                out.push(roman(&rest[..=at]));
                rest = &rest[at + 1..];
            }
        }
    }
    out.push(roman(rest));
    out
}

fn span<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(open)?.split_once(close).filter(|(inside, _)| !inside.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        let mut roff = Roff::new();
        write(&mut roff, &blocks(text));
        roff.to_roff()
    }

    #[test]
    fn blocks_are_told_apart() {
        let rows: &[(&str, &str)] = &[
            ("# title\n\nsome\ntext\n\nmore", "some text\n.PP\nmore\n"),
            ("## The causes\n\na", ".SS \"The causes\"\na\n"),
            ("- a\n- b\n  on", ".IP - 2\na\n.IP - 2\nb on\n"),
            ("1. a\n2. b", ".IP - 2\na\n.IP - 2\nb\n"),
            ("```\na  b\n\n.c\n```", ".nf\na  b\n.sp\n\\&.c\n.fi\n"),
            ("    a\n    b", ".nf\na\nb\n.fi\n"),
            ("| x | y | z |\n|---|---|---|\n| `a` | b | c |", ".TP\n\\fBa\\fR\nb; z: c\n"),
            ("| x | y |\n|---|---|\n| `a|b` | |", ".TP\n\\fBa|b\\fR\n\u{a0}\n"),
            ("see [x](y.md), *now*, **so**, a*b", "see x, \\fInow\\fR, \\fBso\\fR, a*b\n"),
        ];
        for (markdown, wanted) in rows {
            assert_eq!(text(markdown), *wanted, "{markdown:?}");
        }
    }
}
