//! Property lists, the format of launchd's agents.

use crate::base::xml;
use plist::{Dictionary, Value, XmlWriteOptions};

/// `text` as a value, without the characters that XML can't hold.
pub(super) fn text(text: &str) -> Value {
    Value::String(text.chars().filter(|c| xml::is_allowed(*c)).collect())
}

/// The values as an array.
pub(super) fn array(values: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(values.into_iter().collect())
}

/// The entries as a dictionary that keeps their order.
pub(super) fn dictionary<K: Into<String>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
    Value::Dictionary(entries.into_iter().map(|(key, value)| (key.into(), value)).collect::<Dictionary>())
}

/// Environment variables as a dictionary.
pub(super) fn variables<K: Into<String>, V: AsRef<str>>(variables: impl IntoIterator<Item = (K, V)>) -> Value {
    dictionary(variables.into_iter().map(|(name, value)| (name, text(value.as_ref()))))
}

/// The content of a file with this property list.
pub(super) fn file(list: &Value) -> String {
    let mut bytes = Vec::new();
    let options = XmlWriteOptions::default().indent(b' ', 2);
    list.to_writer_xml_with_options(&mut bytes, &options)
        .expect("memory takes every byte, and agents have no UID value");
    bytes.push(b'\n');
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The property list in `text`, the content of a file; `None`: it has none.
pub(super) fn parse(text: &str) -> Option<Value> {
    Value::from_reader_xml(text.as_bytes()).ok()
}

/// Changes every text in `list` by `change`.
pub(super) fn for_each_text(list: &mut Value, change: &impl Fn(&mut String)) {
    match list {
        Value::String(text) => change(text),
        Value::Array(values) => values.iter_mut().for_each(|value| for_each_text(value, change)),
        Value::Dictionary(entries) => entries.values_mut().for_each(|value| for_each_text(value, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_whatever_characters_are_in_it() {
        let awkward = "a<b> & \"c\" 'd' ]]> é 漢\tx\ny";
        let list = dictionary([("Label", text(awkward)), ("A & B", array([text("\u{1}kept\u{1f}"), text("")]))]);
        let written = file(&list);
        let mut read = parse(&written).unwrap();
        assert_eq!(read, list);
        let entries = read.as_dictionary().unwrap();
        assert_eq!(entries["Label"].as_string(), Some(awkward));
        assert_eq!(entries["A & B"].as_array().unwrap()[0].as_string(), Some("kept"));
        for_each_text(&mut read, &|text| text.insert(0, '!'));
        assert_eq!(read.as_dictionary().unwrap()["A & B"].as_array().unwrap()[1].as_string(), Some("!"));
        assert_eq!(parse("no list"), None);
    }
}
