//! Which state that needs a person a screen shows, and how one of its answers is reached: pure functions from text to
//! meaning.

use crate::base::AttentionState;
use crate::base::clock::EpochMs;
use crate::runtime::attention::{ScreenState, Told};
use crate::runtime::manifest::{Choice, DialogReply, ScreenRules};
use crate::runtime::screen::{Draft, Screen, Sight, unboxed};
use crate::runtime::until;

/// What a screen shows of a session's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown<'r> {
    /// Whether the composer is there, ready for input.
    pub composer: bool,
    /// Whether a turn runs.
    pub busy: bool,
    /// Whether somebody has typed something and not sent it.
    pub draft: bool,
    /// The rule by which the screen needs a person.
    pub rule: Option<&'r ScreenState>,
    /// The state that the screen shows: by a known dialog, by the rule, or `dialog` or `strange` for an unknown screen.
    pub told: Option<Told>,
}

/// The next key on the way to an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The cursor is on the wanted row, which is this: confirm.
    Confirm(String),
    /// Press this key to bring the cursor nearer to the wanted row.
    Press(&'static str),
    /// The wanted row, or the cursor, is not on the screen.
    Lost,
}

/// The glyphs that mark the chosen row of a list.
const CURSORS: [char; 3] = ['❯', '›', '»'];

impl Screen {
    /// What the screen shows by `rules`.
    pub fn shown<'r>(&self, rules: &'r ScreenRules, now: EpochMs) -> Shown<'r> {
        let rows = self.rows();
        let sight = self.sight(rules);
        let rule = rules.attention.iter().find(|rule| rule.when.iter().all(|needle| self.holds(needle, &rows)));
        let (composer, busy, draft) = match &sight {
            Sight::Input { draft, busy } => (true, *busy, matches!(draft, Draft::Text(_) | Draft::Paste(_))),
            _ => (false, false, false),
        };
        let told = match (rule, &sight) {
            // A dialog before the program is ready has rules of its own.
            (_, Sight::Dialog(dialog)) => {
                let state = dialog.state.unwrap_or(AttentionState::Dialog);
                let text = match &dialog.answer {
                    DialogReply::Fail(why) => why.clone(),
                    DialogReply::Profile(by) => by.ask.clone(),
                    DialogReply::Press(_) | DialogReply::Choose(_) => format!("dialog {}", dialog.name),
                };
                Some(Told { state, text, until: None })
            }
            (Some(rule), _) => Some(told_by(rule, &rows, now)),
            (None, Sight::Input { .. } | Sight::Blank) => None,
            (None, Sight::Unknown) => {
                // An unknown screen may show the text of messages: none of it is quoted.
                let (state, text) = match list_row(&rows) {
                    Some(row) => (AttentionState::Dialog, row),
                    None => (AttentionState::Strange, "a screen that no rule knows".to_owned()),
                };
                Some(Told { state, text, until: None })
            }
        };
        let rule = rule.filter(|_| !matches!(sight, Sight::Dialog(_)));
        Shown { composer, busy, draft, rule, told }
    }

    /// The next key on the way to `choice`.
    pub fn step_to(&self, choice: &Choice) -> Step {
        let rows = self.rows();
        let is_wanted = |row: &String| is_label(row, choice);
        let Some(cursor) = rows.iter().rposition(|row| unboxed(row).starts_with(&choice.cursor)) else {
            return Step::Lost;
        };
        if is_wanted(&rows[cursor]) {
            return Step::Confirm(rows[cursor].clone());
        }
        // The rows of a list are together: the nearest matching row is the list's, and not one that the conversation
        // quotes.
        let wanted = rows.iter().enumerate().filter(|(_, row)| is_wanted(row)).map(|(at, _)| at);
        match wanted.min_by_key(|at| at.abs_diff(cursor)).filter(|at| at.abs_diff(cursor) <= rows.len() / 2) {
            Some(at) if at > cursor => Step::Press("Down"),
            Some(_) => Step::Press("Up"),
            None => Step::Lost,
        }
    }
}

/// Whether `row` is the option that `choice` wants: after the cursor and the number it has the label, and after that
/// nothing but a key's name in parentheses, or text in another column.
fn is_label(row: &str, choice: &Choice) -> bool {
    let text = unboxed(row);
    let text = text.strip_prefix(choice.cursor.as_str()).unwrap_or(text).trim_start();
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let text = if digits > 0 { text[digits..].strip_prefix(". ").unwrap_or(text) } else { text };
    match text.strip_prefix(choice.label.as_str()) {
        Some(rest) => rest.is_empty() || rest.starts_with(" (") || rest.starts_with("  "),
        None => false,
    }
}

fn told_by(rule: &ScreenState, rows: &[String], now: EpochMs) -> Told {
    let begins = |row: &String| rule.text.iter().any(|prefix| row.starts_with(prefix.as_str()));
    let says = |row: &&String| {
        let words = rule.when.iter().filter(|needle| !needle.not);
        let words = words.filter_map(|needle| needle.contains.as_ref().or(needle.starts.as_ref()));
        words.into_iter().any(|word| row.contains(word.as_str()))
    };
    let row = rows.iter().rev().find(|row| begins(row)).or_else(|| rows.iter().rev().find(says));
    // The marks at the start of a row, and what frames it (a box, a scroll bar, Qwen Code's arrow) are left out.
    let is_frame = |c: char| c.is_whitespace() || "│█←".contains(c);
    let is_mark = |c: char| is_frame(c) || "●⎿■⚠•┃".contains(c);
    let text = row.map(|row| row.trim_start_matches(is_mark).trim_end_matches(is_frame).to_owned());
    let until = rule.until.iter().find_map(|word| {
        rows.iter().rev().find_map(|row| {
            let (_, time) = row.split_once(word.as_str())?;
            until::read(time, now)
        })
    });
    Told { state: rule.state, text: text.unwrap_or_else(|| rule.name.clone()), until }
}

/// The chosen row of a list that is shown in place of the composer.
fn list_row(rows: &[String]) -> Option<String> {
    rows.iter().rev().find_map(|row| {
        let text = row.trim_start();
        let rest = text.strip_prefix(CURSORS)?.strip_prefix(' ')?;
        let numbered = rest.starts_with(|c: char| c.is_ascii_digit());
        let indented = text.len() < row.len();
        // At column 0 it may be a message or a composer that the manifest does not know.
        (indented || numbered).then(|| rest.trim().to_owned()).filter(|rest| !rest.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(label: &str) -> Choice {
        serde_json::from_value(serde_json::json!({"label": label, "cursor": "❯"})).unwrap()
    }

    #[test]
    fn the_way_to_an_answer() {
        let screen = |rows: &str| Screen { styled: rows.into(), ..Screen::default() };
        let list = screen("❯ said: 4. No\n Do you want to?\n ❯ 1. Yes\n   2. Yes, and always (a)\n   3. No  (esc)\n");
        for (label, expected) in [
            ("Yes", Step::Confirm(" ❯ 1. Yes".into())),
            ("Yes, and always", Step::Press("Down")),
            ("No", Step::Press("Down")),
            ("Maybe", Step::Lost),
            ("Ye", Step::Lost),
        ] {
            assert_eq!(list.step_to(&choice(label)), expected, "{label}");
        }
        let boxed = screen(
            "said\n? Shell\n│ ● 1. Allow once   │\n│   2. Allow for this session   │\n│   3. No, suggest changes (esc)   │\n",
        );
        let cursor = |label: &str| serde_json::from_value(serde_json::json!({"label": label, "cursor": "●"})).unwrap();
        assert_eq!(boxed.step_to(&cursor("No, suggest changes")), Step::Press("Down"));
        assert!(matches!(boxed.step_to(&cursor("Allow once")), Step::Confirm(_)));
        assert_eq!(screen("  Yes\n ❯ No\n").step_to(&choice("Yes")), Step::Press("Up"));
        assert_eq!(screen("  Yes\n  No\n").step_to(&choice("Yes")), Step::Lost, "no cursor, no key");
    }

    #[test]
    fn a_list_where_the_composer_was_is_a_dialog() {
        let rows = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(list_row(&rows("Select model\n  ❯ 1. Default\n    2. Other")).as_deref(), Some("1. Default"));
        assert_eq!(list_row(&rows("› 1. Yes")).as_deref(), Some("1. Yes"));
        assert_eq!(list_row(&rows("❯ a message\n❯ ")), None);
    }
}
