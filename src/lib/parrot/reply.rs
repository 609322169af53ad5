//! The answer to a message from a peer: `You said: …`, by `iapeer-send`.

use crate::base::address::Contact;
use crate::base::exit::one_line;
use crate::base::identity::{NameError, Runtime};
use crate::host::child::{self, ChildError};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const OPENING: &str = "You said: ";
/// The longest answer, in characters: below the limit of a message, so that the length is never the reason of a refusal.
const MOST_CHARS: usize = 15_000;
const LIMIT: Duration = Duration::from_secs(60);

/// A message from a peer, read from its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParrotLetter {
    pub(crate) from: Contact,
    pub(crate) runtime: String,
    pub(crate) topic: Option<String>,
    pub(crate) id: Option<String>,
    /// Whether a person wrote it.
    pub(crate) is_from_a_person: bool,
    pub(crate) body: String,
}

/// The envelopes in `text`, in their order. Envelopes quoted inside a body are part of that body.
pub(crate) fn letters(text: &str) -> Vec<ParrotLetter> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("<iap ") {
        rest = &rest[start + 5..];
        if let Some((letter, after)) = letter(rest) {
            found.push(letter);
            rest = after;
        }
    }
    found
}

/// Reads one envelope, whose `<iap ` was before `text`; returns its letter and the text after the message.
fn letter(text: &str) -> Option<(ParrotLetter, &str)> {
    let (tag, rest) = text.split_once('>')?;
    let attribute = |name: &str| {
        let mut tail = tag;
        // Quotes in values are escaped: a value ends at the next quote.
        while let Some((key, after)) = tail.split_once("=\"") {
            let (value, next) = after.split_once('"')?;
            if key.trim() == name {
                return Some(unescape(value));
            }
            tail = next;
        }
        None
    };
    // An incomplete envelope must not take the body of the next one.
    let (_, rest) = rest.split_once("<message>").filter(|(before, _)| !before.contains("<iap "))?;
    let (body, rest) = cdata(rest)?;
    let letter = ParrotLetter {
        from: attribute("from-personality")?.parse().ok()?,
        runtime: attribute("from-runtime")?,
        topic: attribute("topic").filter(|topic| !topic.is_empty()),
        id: attribute("id").filter(|id| !id.is_empty()),
        is_from_a_person: attribute("from-intelligence").as_deref() == Some("natural"),
        body,
    };
    Some((letter, rest))
}

/// The text of the CDATA sections up to `</message>`.
fn cdata(mut rest: &str) -> Option<(String, &str)> {
    let mut body = String::new();
    loop {
        if let Some(after) = rest.strip_prefix("</message>") {
            return Some((body, after));
        }
        let (section, after) = rest.strip_prefix("<![CDATA[")?.split_once("]]>")?;
        body.push_str(section);
        rest = after;
    }
}

fn unescape(value: &str) -> String {
    value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// The letter to answer: the first that is not from the system, unless it is an answer itself (two parrots would talk
/// for ever).
pub(crate) fn to_answer(letters: Vec<ParrotLetter>) -> Option<ParrotLetter> {
    letters.into_iter().find(|letter| letter.runtime != "system").filter(|letter| !letter.body.starts_with(OPENING))
}

/// Why a letter was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplyError {
    /// The sender's runtime is not a valid name.
    #[error(transparent)]
    Runtime(#[from] NameError),
    /// `iapeer-send` did not run to its end.
    #[error("iapeer-send: {0}")]
    Child(#[from] ChildError),
    /// `iapeer-send` failed; the first line of its standard error.
    #[error("{}", one_line(.0))]
    Refused(String),
    /// `iapeer-send` failed without a line on standard error.
    #[error("iapeer-send: {0}")]
    Wordless(ExitStatus),
}

/// Answers `letter`.
pub(crate) fn send(letter: &ParrotLetter, cancel: &AtomicBool) -> Result<(), ReplyError> {
    let runtime: Runtime = letter.runtime.parse()?;
    // As one argument: a topic may begin with a dash.
    let topic = letter.topic.as_ref().map(|topic| format!("--topic={topic}"));
    let to = letter.from.to_string();
    let mut arguments = vec![to.as_str(), "--runtime", runtime.as_str()];
    arguments.extend(topic.as_deref());
    arguments.extend(letter.id.iter().flat_map(|id| ["--re", id]));
    arguments.extend(["--no-wait", "-f", "-"]);
    let text: String = OPENING.chars().chain(letter.body.chars()).take(MOST_CHARS).collect();
    let (status, said) = child::run(&program(), &arguments, text.into_bytes(), LIMIT, cancel)?;
    if status.success() {
        return Ok(());
    }
    Err(match said.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => ReplyError::Refused(line.to_owned()),
        None => ReplyError::Wordless(status),
    })
}

/// `iapeer-send` beside this program, else on PATH.
fn program() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join("iapeer-send")))
        .filter(|beside| beside.is_file())
        .unwrap_or_else(|| "iapeer-send".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(from: &str, runtime: &str, more: &str, body: &str) -> String {
        format!(
            "<iap from-personality=\"{from}\" from-runtime=\"{runtime}\" from-intelligence=\"artificial\"{more}>\nIAP message from known peers.\n<message><![CDATA[{}]]></message>\n</iap>",
            body.replace("]]>", "]]]]><![CDATA[>")
        )
    }

    #[test]
    fn an_envelope_is_read_as_it_was_written() {
        let body = "a ]]> b </message> <iap from-personality=\"x\">\n&amp; `$()`";
        let text = wire("bob", "parrot", " ts=\"2026\" id=\"01J\" topic=\"a &lt;b&gt; &quot;c&quot; &amp;amp;\"", body);
        assert_eq!(
            letters(&text),
            [ParrotLetter {
                from: "bob".parse().unwrap(),
                runtime: "parrot".into(),
                topic: Some("a <b> \"c\" &amp;".into()),
                id: Some("01J".into()),
                is_from_a_person: false,
                body: body.into()
            }]
        );
    }

    #[test]
    fn what_is_no_envelope_is_none() {
        for text in [
            "",
            "<iap ",
            "<iap >",
            "<iap from-personality=\"bob\">x",
            "<iap from-personality=\"bob\" from-runtime=\"parrot\"><message>plain</message></iap>",
            "<iap from-personality=\"-x\" from-runtime=\"parrot\"><message><![CDATA[a]]></message></iap>",
            "<iap from-personality=\"bob\" from-runtime=\"parrot\"><message><![CDATA[a",
        ] {
            assert_eq!(letters(text), [], "{text:?}");
        }
    }

    #[test]
    fn table_of_answers() {
        let rows: &[(String, Option<&str>)] = &[
            (wire("bob", "parrot", "", "hi"), Some("bob")),
            (format!("{}\n{}", wire("iapeer", "system", "", "x"), wire("eve", "claude", "", "y")), Some("eve")),
            (wire("iapeer", "system", "", "x"), None),
            (wire("bob", "parrot", "", "You said: hi"), None),
            ("hi".into(), None),
        ];
        for (text, expected) in rows {
            let answer = to_answer(letters(text));
            assert_eq!(answer.map(|letter| letter.from.to_string()).as_deref(), *expected, "{text}");
        }
    }
}
