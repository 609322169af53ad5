//! The envelope: what a message looks like when it reaches an agent (spec 09.2 with D13).
//!
//! ```text
//! <iap from-personality="P" from-runtime="R" from-intelligence="I" ts="T"[ topic="…"] id="ULID"[ re="ULID"][ redelivered="N"]>
//! INSTRUCTION
//! [<attachments><![CDATA[/a
//! /b]]></attachments>]
//! <message><![CDATA[BODY]]></message>
//! </iap>
//! ```
//! For a sender on another host P is `NAME@HOST`. Lines end with LF, except the last one. The decoder starts at the
//! open tag, which has at most `MAX_TAG` characters, parses CDATA sections, and also accepts the short attribute
//! names of later versions.

use crate::base::address::Origin;
use crate::base::identity::{Identity, Intelligence, Runtime, Topic};
use crate::base::message_id::MessageId;
use crate::base::xml;

/// Longest open tag in characters. A topic of 200 quotes has 1,200 characters once it is escaped, and the decoder must
/// be able to read whatever the encoder writes.
const MAX_TAG: usize = 2048;
const CDATA: &str = "<![CDATA[";
const CDATA_END: &str = "]]>";

/// How the recipient can answer: the second line of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction {
    /// By our MCP tool.
    Mcp,
    /// By running `iapeer-send`.
    Send,
}

/// A message as it is handed to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub from: Origin,
    /// The sender's nature.
    pub intelligence: Intelligence,
    /// When the message was accepted: local ISO time with offset.
    pub ts: String,
    /// The message's topic.
    pub topic: Option<Topic>,
    /// The message's id; envelopes of the earlier system have none.
    pub id: Option<MessageId>,
    /// The message that this one answers.
    pub re: Option<MessageId>,
    /// How often the message may have been delivered before.
    pub redelivered: Option<u32>,
    /// The attachments, as absolute paths.
    pub attachments: Vec<String>,
    /// The text.
    pub body: String,
}

/// Why a text is not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The text does not begin with an open tag.
    #[error("no envelope: it does not begin with an <iap …> tag")]
    NoTag,
    /// A required attribute is missing or wrong.
    #[error("the envelope's {0} is missing or invalid")]
    Attribute(&'static str),
    /// The envelope has no message element.
    #[error("the envelope contains no message")]
    NoMessage,
}

impl Envelope {
    /// The wire form.
    pub fn encode(&self, instruction: Instruction) -> String {
        let mut tag = format!(
            "<iap from-personality=\"{}\" from-runtime=\"{}\" from-intelligence=\"{}\" ts=\"{}\"",
            self.from.contact(),
            self.from.runtime(),
            self.intelligence,
            xml::escaped(&self.ts)
        );
        if let Some(topic) = &self.topic {
            tag.push_str(&format!(" topic=\"{}\"", xml::escaped(topic.as_str())));
        }
        if let Some(id) = self.id {
            tag.push_str(&format!(" id=\"{id}\""));
        }
        if let Some(re) = self.re {
            tag.push_str(&format!(" re=\"{re}\""));
        }
        if let Some(n) = self.redelivered {
            tag.push_str(&format!(" redelivered=\"{n}\""));
        }
        let instruction = match instruction {
            Instruction::Mcp => match self.id {
                Some(id) => format!("IAP message from known peers. Reply via send_to_peer, with re {id}."),
                None => "IAP message from known peers. Reply via send_to_peer.".to_owned(),
            },
            Instruction::Send => {
                let re = self.id.map(|id| format!(" --re {id}")).unwrap_or_default();
                format!(
                    "IAP message from known peers. Reply with: iapeer-send {}{re} --message-file - (text on stdin).",
                    self.from.contact()
                )
            }
        };
        let mut lines = vec![format!("{tag}>"), instruction];
        if !self.attachments.is_empty() {
            lines.push(format!("<attachments>{}</attachments>", cdata(&self.attachments.join("\n"))));
        }
        lines.push(format!("<message>{}</message>", cdata(&self.body)));
        lines.push("</iap>".to_owned());
        lines.join("\n")
    }

    /// Reads the envelope that `text` begins with, after white space. What follows the envelope is ignored.
    pub fn decode(text: &str) -> Result<Envelope, EnvelopeError> {
        let (tag, rest) = open_tag(text.trim_start()).ok_or(EnvelopeError::NoTag)?;
        let attribute = |long: &str, short: &str| attribute(tag, long).or_else(|| attribute(tag, short));
        let named = attribute("from-personality", "from");
        let runtime = attribute("from-runtime", "runtime").and_then(|text| text.parse().ok());
        let body = content(rest, &["message", "msg"]).ok_or(EnvelopeError::NoMessage)?;
        let attachments = content(rest, &["attachments"]).unwrap_or_default();
        Ok(Envelope {
            from: origin(
                runtime.ok_or(EnvelopeError::Attribute("from-runtime"))?,
                &named.ok_or(EnvelopeError::Attribute("from-personality"))?,
            )?,
            intelligence: attribute("from-intelligence", "intelligence")
                .and_then(|word| Intelligence::parse(&word))
                .unwrap_or(Intelligence::Absent),
            ts: attribute("ts", "ts").unwrap_or_default(),
            topic: attribute("topic", "topic").and_then(|text| Topic::parse(&text).ok().flatten()),
            id: attribute("id", "id").and_then(|text| text.parse().ok()),
            re: attribute("re", "re").and_then(|text| text.parse().ok()),
            redelivered: attribute("redelivered", "redelivered").and_then(|text| text.parse().ok()),
            attachments: attachments
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect(),
            body,
        })
    }
}

/// The sender that `named`, `NAME` or `NAME@HOST`, is on `runtime`.
fn origin(runtime: Runtime, named: &str) -> Result<Origin, EnvelopeError> {
    let bad = || EnvelopeError::Attribute("from-personality");
    let (name, host) = named.split_once('@').map_or((named, None), |(name, host)| (name, Some(host)));
    let identity = Identity::new(runtime, name.parse().map_err(|_| bad())?);
    match host {
        None => Ok(identity.into()),
        Some(host) => Ok(Origin::afar(identity, host.parse().map_err(|_| bad())?)),
    }
}

/// The ids of all envelopes in `text`, in order; any other text may be around them. An envelope quoted in a body does
/// not count, since it is inside CDATA; prose that looks like an open tag does not hide an envelope after it.
pub(crate) fn message_ids(text: &str) -> Vec<MessageId> {
    let mut ids = Vec::new();
    let mut inside = false;
    let mut at = 0;
    while let Some(found) = text[at..].find('<') {
        let here = &text[at + found..];
        at += found + 1;
        if let Some((tag, after)) = open_tag(here) {
            ids.extend(attribute(tag, "id").and_then(|id| id.parse::<MessageId>().ok()));
            inside = true;
            at = text.len() - after.len();
        } else if inside && here.starts_with(CDATA) {
            // A CDATA section without an end: the text was cut off inside a body, and everything that follows belongs
            // to that body.
            let Some(end) = here.find(CDATA_END) else { break };
            at += end;
        } else if here.starts_with("</iap>") {
            inside = false;
        }
    }
    ids
}

/// The position of the first `tag` outside CDATA.
fn find_outside_cdata(text: &str, tag: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('<') {
        at += found;
        let here = &text[at..];
        if here.starts_with(tag) {
            return Some(at);
        }
        at += if here.starts_with(CDATA) { here.find(CDATA_END)? + CDATA_END.len() } else { 1 };
    }
    None
}

/// The attributes of an open tag that has the two required ones, and the text after the tag.
fn open_tag(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix("<iap ")?;
    let limit = inside.char_indices().nth(MAX_TAG).map_or(inside.len(), |(at, _)| at);
    let end = inside[..limit].find('>')?;
    let tag = &inside[..end];
    let required = (attribute(tag, "from-personality").or_else(|| attribute(tag, "from")))
        .zip(attribute(tag, "from-runtime").or_else(|| attribute(tag, "runtime")));
    required.map(|_| (tag, &inside[end + 1..]))
}

/// The value of an attribute whose name stands at the start or after white space: `runtime=` is not the tail of
/// `from-runtime=`.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let wanted = format!("{name}=\"");
    let mut from = 0;
    while let Some(at) = tag[from..].find(&wanted) {
        let at = from + at;
        if at == 0 || tag[..at].ends_with(char::is_whitespace) {
            let value = &tag[at + wanted.len()..];
            return value.find('"').map(|end| xml::unescaped(&value[..end]));
        }
        from = at + wanted.len();
    }
    None
}

/// The content of the first element of one of these names whose open tag is outside CDATA: its CDATA sections and raw
/// text together, up to the first close tag outside CDATA.
fn content(text: &str, names: &[&str]) -> Option<String> {
    let envelope = find_outside_cdata(text, "</iap>").map_or(text, |end| &text[..end]);
    let (name, start) = names
        .iter()
        .find_map(|name| find_outside_cdata(envelope, &format!("<{name}>")).map(|at| (name, at + name.len() + 2)))?;
    let inside = &envelope[start..];
    let end = find_outside_cdata(inside, &format!("</{name}>")).unwrap_or(inside.len());
    let mut out = String::new();
    let mut rest = &inside[..end];
    while let Some((raw, after)) = rest.split_once(CDATA) {
        out.push_str(raw);
        match after.split_once(CDATA_END) {
            Some((data, tail)) => {
                out.push_str(data);
                rest = tail;
            }
            None => {
                out.push_str(after);
                rest = "";
            }
        }
    }
    out.push_str(rest);
    Some(out)
}

fn cdata(text: &str) -> String {
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn envelope(body: &str) -> Envelope {
        Envelope {
            from: "claude-alice".parse().unwrap(),
            intelligence: Intelligence::Artificial,
            ts: "2026-11-21T07:00:00+01:00".into(),
            topic: Topic::parse("a \"b\" <c> & d").unwrap(),
            id: Some("01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap()),
            re: None,
            redelivered: None,
            attachments: vec![],
            body: body.into(),
        }
    }

    #[test]
    fn the_wire_form_is_fixed() {
        let full = Envelope {
            re: Some("01BX5ZZKBKACTAV9WEVGEMMVRZ".parse().unwrap()),
            redelivered: Some(1),
            attachments: vec!["/a".into(), "/b c".into()],
            ..envelope("hi ]]> there")
        };
        assert_eq!(
            full.encode(Instruction::Mcp),
            "<iap from-personality=\"alice\" from-runtime=\"claude\" from-intelligence=\"artificial\" ts=\"2026-11-21T07:00:00+01:00\" topic=\"a &quot;b&quot; &lt;c&gt; &amp; d\" id=\"01ARZ3NDEKTSV4RRFFQ69G5FAV\" re=\"01BX5ZZKBKACTAV9WEVGEMMVRZ\" redelivered=\"1\">\n\
             IAP message from known peers. Reply via send_to_peer, with re 01ARZ3NDEKTSV4RRFFQ69G5FAV.\n\
             <attachments><![CDATA[/a\n/b c]]></attachments>\n\
             <message><![CDATA[hi ]]]]><![CDATA[> there]]></message>\n\
             </iap>"
        );
        assert_eq!(Envelope::decode(&full.encode(Instruction::Send)), Ok(full.clone()));
        assert!(full.encode(Instruction::Send).contains(
            "\nIAP message from known peers. Reply with: iapeer-send alice --re 01ARZ3NDEKTSV4RRFFQ69G5FAV --message-file - (text on stdin).\n"
        ));
    }

    #[test]
    fn what_is_quoted_in_a_body_is_part_of_the_body() {
        let inner = envelope("inner").encode(Instruction::Send);
        for body in [inner.as_str(), "</message></iap>", "<attachments><![CDATA[/x]]></attachments>", "]]></message>"] {
            let outer = envelope(body);
            let decoded = Envelope::decode(&outer.encode(Instruction::Send)).unwrap();
            assert_eq!(decoded, outer);
        }
    }

    #[test]
    fn both_forms_of_names_are_read_and_a_tail_is_no_name() {
        let short = "<iap from=\"bob\" runtime=\"codex\" intelligence=\"human\"><msg>raw</msg></iap>";
        let decoded = Envelope::decode(short).unwrap();
        assert_eq!(
            (decoded.from.to_string().as_str(), decoded.intelligence, decoded.body.as_str()),
            ("codex-bob", Intelligence::Natural, "raw")
        );
        assert_eq!(attribute("from-runtime=\"a\"", "runtime"), None);
    }

    #[test]
    fn what_is_no_envelope_is_said_to_be_none() {
        for bad in [
            "",
            "hello",
            "x <iap from=\"a\" runtime=\"b\">",
            "<iap from=\"a\">",
            "<iap from-personality=\"a\" from-runtime=\"b\">no message</iap>",
        ] {
            assert!(Envelope::decode(bad).is_err(), "{bad}");
        }
        let long = format!("<iap from=\"a\" runtime=\"b\" x=\"{}\"><msg>m</msg></iap>", "é".repeat(MAX_TAG));
        assert_eq!(Envelope::decode(&long), Err(EnvelopeError::NoTag));
    }

    #[test]
    fn ids_are_those_of_envelopes_not_of_what_they_quote() {
        let other = Envelope { id: Some("01BX5ZZKBKACTAV9WEVGEMMVRZ".parse().unwrap()), ..envelope("quoted") };
        let first = envelope(&other.encode(Instruction::Send)).encode(Instruction::Send);
        let third = Envelope { id: Some("01BX5ZZKBKACTAV9WEVGEMMVS0".parse().unwrap()), ..envelope("x") }
            .encode(Instruction::Mcp);
        let ids: Vec<String> =
            message_ids(&format!("<iap prose\n{first}\n\nand {third}")).iter().map(ToString::to_string).collect();
        assert_eq!(ids, ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "01BX5ZZKBKACTAV9WEVGEMMVS0"]);
        // A long prompt may be cut off by the agent: the open tag is enough.
        assert_eq!(message_ids(&first[..250]).len(), 1);
        // Prose around an envelope may contain anything.
        for prose in ["<iap from=\"a\" runtime=\"b\"> is how it begins", "<![CDATA[", "</iap>", "[Image #1] "] {
            assert_eq!(message_ids(&format!("{prose}\n{third}")).len(), 1, "{prose}");
        }
        // The agent's input takes the opening attachments tag away with the paths.
        let attached = Envelope { attachments: vec!["/a.png".into()], ..envelope("see") }.encode(Instruction::Mcp);
        assert_eq!(message_ids(&attached.replace("<attachments><![CDATA[/a.png", "[Image #1]")).len(), 1);
    }

    #[test]
    fn the_longest_topic_is_readable_whatever_it_is_made_of() {
        for c in ["\"", "&", "\u{1f642}", ">"] {
            let sent = Envelope {
                from: format!("r{}-p{}", "r".repeat(31), "p".repeat(31)).parse().unwrap(),
                topic: Topic::parse(&c.repeat(Topic::MAX_CHARS)).unwrap(),
                redelivered: Some(u32::MAX),
                ..envelope("x")
            };
            let wire = sent.encode(Instruction::Send);
            assert_eq!(message_ids(&wire), sent.id.into_iter().collect::<Vec<_>>());
            assert_eq!(Envelope::decode(&wire), Ok(sent));
        }
    }

    #[test]
    fn a_sender_on_another_host_is_named_with_its_host() {
        let sent = Envelope { from: "claude-alice@laptop".parse().unwrap(), ..envelope("x") };
        let wire = sent.encode(Instruction::Send);
        assert!(wire.starts_with("<iap from-personality=\"alice@laptop\" from-runtime=\"claude\""), "{wire}");
        assert!(wire.contains("\nIAP message from known peers. Reply with: iapeer-send alice@laptop --re "), "{wire}");
        assert_eq!(Envelope::decode(&wire), Ok(sent));
        assert!(Envelope::decode(&wire.replace("@laptop", "@../x")).is_err());
    }

    #[test]
    fn an_earlier_systems_envelope_has_no_id() {
        let old = "<iap from-personality=\"a\" from-runtime=\"claude\" from-intelligence=\"scripted\">\nIAP message from known peers. Reply via send_to_peer.\n<message><![CDATA[m]]></message>\n</iap>";
        let read = Envelope::decode(old).unwrap();
        assert_eq!((read.id, read.intelligence, read.ts.as_str()), (None, Intelligence::Absent, ""));
        assert!(message_ids(old).is_empty());
    }

    proptest! {
        #[test]
        fn any_message_comes_back(
            body in "(\\PC|\n|\t|]]>|<!\\[CDATA\\[|</message>|</iap>|<iap |<attachments>){1,40}",
            topic in "(\\PC|&quot;|\"|<|>|&){0,30}",
            attachments in proptest::collection::vec("/[!-~]{1,20}(]]>|</iap>)?", 0..3),
            quoted: bool,
        ) {
            let inner = Envelope { id: Some("01BX5ZZKBKACTAV9WEVGEMMVRZ".parse().unwrap()), ..envelope(&body) };
            let body = if quoted { inner.encode(Instruction::Send) } else { body };
            let sent = Envelope { topic: Topic::parse(&topic).unwrap(), attachments, ..envelope(&body) };
            let wire = sent.encode(Instruction::Send);
            prop_assert_eq!(message_ids(&format!("{wire}\n{wire}")), vec![sent.id.unwrap(); 2]);
            prop_assert_eq!(Envelope::decode(&wire), Ok(sent));
        }

        #[test]
        fn no_text_makes_the_decoder_panic(text in "(\\PC|<iap |from=\"a\" |runtime=\"b\">|<msg>|<!\\[CDATA\\[|]]>|</msg>){0,30}") {
            let _ = Envelope::decode(&text);
            let _ = message_ids(&text);
        }
    }
}
