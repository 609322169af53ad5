//! Text in XML.

/// Whether XML 1.0 allows `c` in any form, escaped or not (its section 2.2).
pub(crate) fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// `text` as written between tags or in an attribute's double quotes; characters that XML does not allow are left out.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| is_allowed(*c)) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// The text from which [`escaped`] has made `text`.
pub(crate) fn unescaped(text: &str) -> String {
    text.replace("&gt;", ">").replace("&lt;", "<").replace("&quot;", "\"").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_as_a_table() {
        for (text, wanted) in [
            ("plain 'é' 漢", "plain 'é' 漢"),
            ("a<b> & \"c\" ]]>", "a&lt;b&gt; &amp; &quot;c&quot; ]]&gt;"),
            ("&amp;", "&amp;amp;"),
            ("two\nlines\t", "two\nlines\t"),
            ("\0esc\u{1b}[31m \u{fffe}\u{ffff}", "esc[31m "),
        ] {
            assert_eq!(escaped(text), wanted, "{text:?}");
            let kept: String = text.chars().filter(|c| is_allowed(*c)).collect();
            assert_eq!(unescaped(wanted), kept, "{text:?}");
        }
    }
}
