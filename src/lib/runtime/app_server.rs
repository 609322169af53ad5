//! The part of a manifest that says how a program's app-server is started beside the terminal.

use crate::runtime::fill::{FillError, fill};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// An app-server: it holds the conversation, the program in the terminal shows it, and messages go to it by JSON-RPC
/// over a WebSocket on `{app_socket}`. Both command lines begin with the manifest's program, which is not named in them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppServer {
    /// The server's arguments.
    pub argv: Vec<String>,
    /// The arguments of the program in the terminal.
    pub attach: Vec<String>,
    /// Groups of arguments that take the place of the manifest's own of that name in the server's arguments.
    #[serde(default)]
    pub groups: BTreeMap<String, Vec<String>>,
    /// Options, each followed by a value, that the server takes too. The peer's own arguments (`{@extra}`) are given to
    /// the server if they consist of these options; other arguments rule an app-server out.
    #[serde(default)]
    pub options: Vec<String>,
}

impl AppServer {
    /// The first of the peer's own arguments `extra` that the server would not take.
    pub(crate) fn refuses<'a>(&self, extra: &'a [String]) -> Option<&'a str> {
        let mut words = extra.iter();
        while let Some(word) = words.next() {
            let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            if !self.options.iter().any(|option| option == name) {
                return Some(word);
            }
            if value.is_none() && words.next().is_none() {
                return Some(word);
            }
        }
        None
    }
}

/// The SHA-256 sums of the texts in `digests`, filled from `values`, as `digest:NAME` in hexadecimal digits.
pub(crate) fn digests(
    digests: &BTreeMap<String, String>,
    values: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, FillError> {
    let sum = |text: String| Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    digests.iter().map(|(name, text)| Ok((format!("digest:{name}"), sum(fill(text, values)?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part of the built-in manifest.
    fn codex<T: serde::de::DeserializeOwned>(key: &str) -> T {
        let all: serde_json::Value = serde_json::from_str(include_str!("builtin/codex.json")).unwrap();
        serde_json::from_value(all[key].clone()).unwrap()
    }

    #[test]
    fn own_arguments_that_the_server_takes_as_a_table() {
        let server: AppServer = codex("app_server");
        for (extra, refused) in [
            (&[][..], None),
            (&["-c", "model=\"x\"", "--enable", "y"], None),
            (&["-c=x=1", "--config=y=2"], None),
            (&["-c"], Some("-c")),
            (&["-c", "x=1", "--model", "y"], Some("--model")),
            (&["--search"], Some("--search")),
        ] {
            let extra: Vec<String> = extra.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(server.refuses(&extra), refused, "{extra:?}");
        }
    }

    /// The sums are from the answer of codex-cli 0.171.0 to `hooks/list`.
    #[test]
    fn the_sum_of_a_hook_is_the_one_that_codex_trusts() {
        let values = BTreeMap::from([
            ("turn_stop".into(), "/tmp/as/hook.sh stop".into()),
            ("turn_start".into(), "/tmp/as/hook.sh start".into()),
            ("turn_prompt".into(), "/tmp/as/hook.sh prompt".into()),
            ("turn_approval".into(), "/tmp/as/hook.sh approval".into()),
            ("approval_secs".into(), "60".into()),
        ]);
        let sums = digests(&codex("digests"), &values).unwrap();
        for (name, sum) in [
            ("start", "de3cf47fdb9a7728f21b55f112ce8f8de53c7bc46e78f11458f776e6650dfe93"),
            ("prompt", "53ced1f5ea548d56457bed21c75236a623ae8346243a510b919e7740322d6747"),
            ("approval", "f8cdf9c822de40a56cfa39bef98c06e3d84d46ff07cd6e8c7c9289be5989eab2"),
            ("stop", "da92893e72caba4c0613c000d373d20b5a878d0f681983303241468c1c917794"),
        ] {
            assert_eq!(sums[&format!("digest:{name}")], sum, "{name}");
        }
    }
}
