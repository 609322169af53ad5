//! Puts the layers of the system prompt together, without any I/O.

use crate::store::registry::PeerRecord;
use std::fmt::Write;

/// The facts in the first layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The peer's name.
    pub personality: String,
    /// The peer's description.
    pub description: String,
    /// The peer's working folder.
    pub cwd: String,
    /// `linux`, `darwin`.
    pub platform: String,
    /// The system's version.
    pub os_version: String,
    /// The name of the user.
    pub user: String,
    /// The name of the host.
    pub hostname: String,
    /// The local date.
    pub today: String,
}

/// A file below the root or below the peer's `.iapeer`: its path as it is shown, and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Half {
    /// The path, with the home as `~`.
    pub shown: String,
    /// The content.
    pub content: String,
}

/// Puts the layers together: facts, doctrine, known peers, other documents, fragments, memory. Sections are joined by one
/// blank line; the text ends with one LF. An empty file gives no section.
pub(crate) fn compose(
    facts: &Facts,
    doctrine: &[Half],
    peers: &[PeerRecord],
    documents: &[Half],
    fragments: &[Half],
    memory: Option<&str>,
) -> String {
    let mut sections = vec![front_matter(facts)];
    sections.extend(doctrine.iter().filter_map(file));
    if !peers.is_empty() {
        sections.push(known_peers(peers));
    }
    sections.extend(documents.iter().filter_map(file));
    sections.extend(fragments.iter().filter_map(file));
    sections.extend(memory.map(|text| format!("<!-- memory -->\n{text}")));
    let trimmed: Vec<&str> = sections.iter().map(|section| section.trim_end_matches('\n')).collect();
    format!("{}\n", trimmed.join("\n\n"))
}

fn front_matter(facts: &Facts) -> String {
    let lines = [
        ("personality", &facts.personality),
        ("description", &facts.description),
        ("peer-cwd", &facts.cwd),
        ("platform", &facts.platform),
        ("os_version", &facts.os_version),
        ("user", &facts.user),
        ("hostname", &facts.hostname),
        ("today", &facts.today),
    ];
    let body: String = lines.iter().map(|(key, value)| format!("{key}: {}\n", json(value))).collect();
    format!("---\n{body}---")
}

/// A JSON string as jq's `@json` writes it: `/` and non-ASCII raw, U+007F escaped.
fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                // Writing to a String can't fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn known_peers(peers: &[PeerRecord]) -> String {
    let mut out = String::from("## Known peers\n");
    let mut sorted: Vec<&PeerRecord> = peers.iter().collect();
    sorted.sort_by(|a, b| a.personality.cmp(&b.personality));
    for peer in sorted {
        let description =
            if peer.description.is_empty() { String::new() } else { format!(" — {}", peer.description) };
        let runtimes: Vec<&str> = peer.runtimes.iter().map(|runtime| runtime.as_str()).collect();
        let _ = write!(
            out,
            "- {}{description}\n  runtime: {}\n  runtimes: {}\n  intelligence: {}\n",
            peer.personality,
            peer.default_runtime,
            runtimes.join(", "),
            peer.intelligence
        );
    }
    out
}

fn file(half: &Half) -> Option<String> {
    let empty = half.content.chars().all(|c| c == '\n');
    (!empty).then(|| format!("<!-- {} -->\n{}", half.shown, half.content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::profile::Profile;

    fn facts() -> Facts {
        Facts {
            personality: "bob".into(),
            description: "a \"b\" \u{7f}\u{1}\n/é".into(),
            cwd: "/w/bob".into(),
            platform: "linux".into(),
            os_version: "12".into(),
            user: "u".into(),
            hostname: "h".into(),
            today: "2026-11-21".into(),
        }
    }

    fn half(shown: &str, content: &str) -> Half {
        Half { shown: shown.into(), content: content.into() }
    }

    fn peer(name: &str, description: &str) -> PeerRecord {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(".iapeer")).unwrap();
        let profile = format!(
            r#"{{"personality":"{name}","default_runtime":"claude","runtimes":["claude","codex"],"description":"{description}"}}"#
        );
        std::fs::write(dir.path().join(".iapeer/peer-profile.json"), profile).unwrap();
        PeerRecord::from_profile(&Profile::read(dir.path()).unwrap().unwrap(), dir.path())
    }

    #[test]
    fn the_layout_to_the_byte() {
        let text = compose(
            &facts(),
            &[half("~/.iapeer/IAPEER.md", "host\n\n\n"), half("/w/bob/.iapeer/IAPEER.md", "own")],
            &[peer("zed", ""), peer("al", "helps")],
            &[half("~/.iapeer/A.md", "\n\n"), half("~/.iapeer/B.md", "  \n")],
            &[half("/w/bob/.iapeer/fragments/x.md", "frag\n")],
            Some("likes tea\n\n"),
        );
        let expected = concat!(
            "---\npersonality: \"bob\"\ndescription: \"a \\\"b\\\" \\u007f\\u0001\\n/é\"\npeer-cwd: \"/w/bob\"\nplatform: \"linux\"\n",
            "os_version: \"12\"\nuser: \"u\"\nhostname: \"h\"\ntoday: \"2026-11-21\"\n---\n\n",
            "<!-- ~/.iapeer/IAPEER.md -->\nhost\n\n<!-- /w/bob/.iapeer/IAPEER.md -->\nown\n\n",
            "## Known peers\n- al — helps\n  runtime: claude\n  runtimes: claude, codex\n  intelligence: artificial\n",
            "- zed\n  runtime: claude\n  runtimes: claude, codex\n  intelligence: artificial\n\n",
            "<!-- ~/.iapeer/B.md -->\n  \n\n<!-- /w/bob/.iapeer/fragments/x.md -->\nfrag\n\n<!-- memory -->\nlikes tea\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn strings_are_those_of_jq() {
        for (text, quoted) in [
            ("", r#""""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\u{8}\u{c}\n\r\t", r#""\b\f\n\r\t""#),
            ("\0\u{1f}\u{b}\u{7f}", r#""\u0000\u001f\u000b\u007f""#),
            ("/ é 🙂 \u{2028} \u{80}", "\"/ é 🙂 \u{2028} \u{80}\""),
        ] {
            assert_eq!(json(text), quoted);
            assert_eq!(serde_json::from_str::<String>(quoted).unwrap(), text);
        }
    }

    #[test]
    fn without_peers_and_files_only_the_facts_remain() {
        let text = compose(&facts(), &[], &[], &[], &[], None);
        assert!(text.starts_with("---\n") && text.ends_with("\n---\n"), "{text}");
    }
}
