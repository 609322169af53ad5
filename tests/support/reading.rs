//! Readers of what the programs write: event logs, queues, envelopes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One line of an event log.
pub type LogLine = BTreeMap<String, String>;

/// Parses a logfmt line: `key=bare key="quoted \"text\" \n \u001b"`. `None` if it is not one.
pub fn logfmt(line: &str) -> Option<LogLine> {
    let mut fields = LogLine::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => match after.split_once(' ') {
                Some((bare, _)) => (bare.to_owned(), &after[bare.len()..]),
                None => (after.to_owned(), ""),
            },
        };
        if key.is_empty() || key.contains([' ', '"']) || fields.insert(key.to_owned(), value).is_some() {
            return None;
        }
        rest = match after.strip_prefix(' ') {
            Some(more) if !more.is_empty() => more,
            _ if after.is_empty() => "",
            _ => return None,
        };
    }
    Some(fields)
}

/// The text up to the closing quote, and what follows that.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'u' => {
                    let hex: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                    out.push(char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?);
                }
                plain => out.push(plain),
            },
            c => out.push(c),
        }
    }
    None
}

/// How many queue items (files named by a number) a folder holds.
pub fn count_items(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.len() >= 6 && name.bytes().all(|c| c.is_ascii_digit())).count()
}

/// The bodies of the envelopes in a submitted text: `<message><![CDATA[…]]></message>`, a `]]>` of the body
/// being split over two sections.
pub fn bodies_in(text: &str) -> Vec<String> {
    const OPEN: &str = "<message><![CDATA[";
    const CLOSE: &str = "]]></message>";
    let mut bodies = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        let body = &rest[start + OPEN.len()..];
        // A `]]>` inside the body is never followed by `</message>`: it is split.
        let Some(end) = body.find(CLOSE) else { break };
        bodies.push(body[..end].replace("]]]]><![CDATA[>", "]]>"));
        rest = &body[end + CLOSE.len()..];
    }
    bodies
}
