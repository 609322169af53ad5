//! What the terminal can show: colors or none, line characters or ASCII.

use crate::base::AttentionState;
use crate::operator::table::Hue;
use ratatui::style::{Color, Modifier, Style};

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopLook {
    pub colour: bool,
    pub unicode: bool,
}

impl TopLook {
    /// Derived from the environment: `NO_COLOR`, `TERM`, and the locale.
    pub(crate) fn by(get: impl Fn(&str) -> Option<String>) -> TopLook {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let term = get("TERM").unwrap_or_default();
        // Names of terminfo: old terminals, and those that are called monochrome.
        let plain = term.starts_with("vt1") || term.starts_with("vt2") || term.ends_with("-m") || term.contains("mono");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| get(name)).unwrap_or_default();
        let unicode = locale.to_lowercase().replace('-', "").contains("utf8");
        TopLook { colour: !plain && get("NO_COLOR").is_none(), unicode }
    }

    fn coloured(self, colour: Color, more: Modifier) -> Style {
        let style = Style::new().add_modifier(more);
        if self.colour { style.fg(colour) } else { style }
    }

    /// The style of a state, in the colors of `iapeer list`.
    pub(crate) fn state(self, state: AttentionState) -> Style {
        match Hue::of(state) {
            Hue::Needed => self.bad(),
            Hue::Failed => self.coloured(Color::Yellow, Modifier::empty()),
            Hue::Writing => self.coloured(Color::Cyan, Modifier::empty()),
            Hue::Working => self.coloured(Color::Green, Modifier::empty()),
            Hue::Plain => Style::new(),
            Hue::Away => Style::new().add_modifier(Modifier::DIM),
        }
    }

    /// The style of bad news.
    pub(crate) fn bad(self) -> Style {
        self.coloured(Color::Red, Modifier::BOLD)
    }

    /// The style of title, foot and selected row.
    pub(crate) fn bar(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(crate) fn header(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The character that fills the line behind a pane's title.
    pub(crate) fn rule(self) -> &'static str {
        if self.unicode { "─" } else { "-" }
    }

    /// The character that marks a text as cut.
    pub(crate) fn more(self) -> &'static str {
        if self.unicode { "…" } else { ">" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_as_a_table() {
        for (term, no_color, lang, colour, unicode) in [
            ("xterm-256color", None, "C.UTF-8", true, true),
            ("screen", Some(""), "de_DE.utf8", true, true),
            ("xterm", Some("1"), "C", false, false),
            ("vt100", None, "", false, false),
            ("xterm-mono", None, "en_US.UTF-8", false, true),
        ] {
            let look = TopLook::by(|name| match name {
                "TERM" => Some(term.to_owned()),
                "NO_COLOR" => no_color.map(str::to_owned),
                "LANG" => Some(lang.to_owned()),
                _ => None,
            });
            assert_eq!(look, TopLook { colour, unicode }, "{term}");
            assert_eq!(look.state(AttentionState::Dead).fg.is_some(), colour);
        }
    }
}
