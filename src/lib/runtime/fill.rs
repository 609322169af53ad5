//! Fills values into the texts of a manifest.

use std::collections::BTreeMap;

/// A text of a manifest that can't be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// A closing brace stands alone.
    #[error("{0:?} has a }} without a {{")]
    Unopened(String),
    /// An opening brace stands alone.
    #[error("{0:?} has a {{ without a }}")]
    Unclosed(String),
    /// A name stands for nothing.
    #[error("{text:?} names {{{name}}}, which is not a value")]
    Unknown {
        /// The text.
        text: String,
        /// The name.
        name: String,
    },
    /// There is no such value, or it is no whole number.
    #[error("{0:?} does not give a whole number")]
    NoNumber(String),
}

/// Replaces each `{name}` in `text` by its value, `{json:name}` by its value as a JSON string (TOML reads it too),
/// and `{{` and `}}` by one brace. An unknown name is an error.
pub fn fill(text: &str, values: &BTreeMap<String, String>) -> Result<String, FillError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix(brace) {
            out.push_str(brace);
            rest = tail;
            continue;
        }
        if brace == "}" {
            return Err(FillError::Unopened(text.to_owned()));
        }
        let (name, tail) = after.split_once('}').ok_or_else(|| FillError::Unclosed(text.to_owned()))?;
        let (name, quoted) = name.strip_prefix("json:").map_or((name, false), |name| (name, true));
        let unknown = || FillError::Unknown { text: text.to_owned(), name: name.to_owned() };
        let value = values.get(name).ok_or_else(unknown)?;
        match quoted {
            true => out.push_str(&serde_json::Value::from(value.as_str()).to_string()),
            false => out.push_str(value),
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// Fills every string in a JSON value; a string `{int:NAME}` becomes the number that the value of `NAME` gives.
pub(crate) fn fill_json(
    value: &serde_json::Value,
    values: &BTreeMap<String, String>,
) -> Result<serde_json::Value, FillError> {
    use serde_json::Value;
    Ok(match value {
        Value::String(text) => match text.strip_prefix("{int:").and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => {
                let value = values.get(name).and_then(|value| value.parse::<u64>().ok());
                value.ok_or_else(|| FillError::NoNumber(text.clone()))?.into()
            }
            None => Value::String(fill(text, values)?),
        },
        Value::Array(list) => Value::Array(list.iter().map(|v| fill_json(v, values)).collect::<Result<_, _>>()?),
        Value::Object(map) => Value::Object(
            map.iter().map(|(k, v)| Ok((k.clone(), fill_json(v, values)?))).collect::<Result<_, FillError>>()?,
        ),
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_doubled_and_json_quotes() {
        let values = BTreeMap::from([("a".into(), "x \"y\"".into())]);
        let filled = fill("[{{c={json:a}}}] {a}", &values);
        assert_eq!(filled.unwrap(), r#"[{c="x \"y\""}] x "y""#);
        for bad in ["{", "}", "{b}", "{a"] {
            assert!(fill(bad, &values).is_err(), "{bad}");
        }
    }
}
