//! Reading a captured screen by a manifest's rules: pure functions from text to meaning.

pub use crate::runtime::composer::Draft;
use crate::runtime::composer::Spot;
use crate::runtime::manifest::{Dialog, Needle, ScreenRules};
use crate::runtime::styled;

/// What the terminal shows at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Screen {
    /// The rows with their SGR sequences, as `capture-pane -e -p` gives them.
    pub styled: String,
    /// The pane's title.
    pub title: String,
    /// The host's name, which is tmux's default title.
    pub host: String,
    /// How many columns it has; 0 where that is not known.
    pub width: usize,
}

/// The classification of a screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Sight<'r> {
    /// The screen is blank.
    Blank,
    /// A dialog that the manifest knows.
    Dialog(&'r Dialog),
    /// The composer, ready for input.
    Input {
        /// What is in it.
        draft: Draft,
        /// Whether a turn is running.
        busy: bool,
    },
    /// No rule matches the screen: nothing is typed into it.
    Unknown,
}

impl Screen {
    /// A screen that shows a program's last words, which are given joined to one line.
    pub(crate) fn of_last_words(words: &str) -> Screen {
        Screen { styled: words.replace(" ⏎ ", "\n"), ..Screen::default() }
    }

    /// The rows without escape sequences, trailing blanks cut.
    pub fn rows(&self) -> Vec<String> {
        styled::rows(&self.styled, &[], false).iter().map(|row| row.text().trim_end().to_owned()).collect()
    }

    /// The last two rows that are not blank, on one line, at most 160 characters: the evidence in an error.
    pub fn tail(&self) -> String {
        let rows = self.rows();
        let last: Vec<String> = rows
            .iter()
            .rev()
            .filter(|row| !row.trim().is_empty())
            .take(2)
            .map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let joined = last.into_iter().rev().collect::<Vec<_>>().join(" ⏎ ").replace('"', "'");
        joined.chars().take(160).collect()
    }

    /// Classifies the screen by `rules`.
    pub fn sight<'r>(&self, rules: &'r ScreenRules) -> Sight<'r> {
        let rows = styled::rows(&self.styled, &rules.ghost, rules.cursor_underlined);
        let texts: Vec<String> = rows.iter().map(|row| row.text().trim_end().to_owned()).collect();
        if texts.iter().all(|row| row.trim().is_empty()) {
            return Sight::Blank;
        }
        let composer = rules.composer.find(&rows);
        let is_option = |spot: &Spot| rules.composer.is_option(spot, &texts[spot.first]);
        // A dialog has no composer below it; a conversation that quotes a dialog has.
        let ready = rules.ready.iter().all(|needle| self.holds(needle, &texts));
        if let Some(dialog) = rules.dialogs.iter().find(|d| d.when.iter().all(|n| self.holds(n, &texts[..])))
            && composer.as_ref().is_none_or(|spot| below(&texts, spot.first, dialog) || (!ready && is_option(spot)))
        {
            return Sight::Dialog(dialog);
        }
        let Some(spot) = composer else { return Sight::Unknown };
        // A menu that no rule names: its cursor row looks like a composer with a draft.
        if !ready && is_option(&spot) {
            return Sight::Unknown;
        }
        let draft = rules.composer.draft(&spot, &rows, &rules.paste_marks);
        // A long paste may replace the footer's words by which `ready` is recognised; the mark of the paste is enough
        // then.
        if !ready && !matches!(draft, Draft::Paste(_)) {
            return Sight::Unknown;
        }
        Sight::Input { draft, busy: rules.busy.iter().any(|needle| self.holds(needle, &texts)) }
    }

    /// The draft in the composer as its person wrote it, to be put back later: with its blank lines, and without the
    /// line breaks that the composer's width causes. `None` where the screen does not tell where the draft ends.
    pub fn whole_draft(&self, rules: &ScreenRules) -> Option<String> {
        let rows = styled::rows(&self.styled, &rules.ghost, rules.cursor_underlined);
        rules.composer.whole_draft(&rules.composer.find(&rows)?, &rows, self.width)
    }

    /// The draft in the composer, whose end is determined by `emptied`, the same screen without the draft: the rows
    /// below the composer there are not part of the draft.
    pub(crate) fn whole_draft_by(&self, emptied: &Screen, rules: &ScreenRules) -> Option<String> {
        let rows = styled::rows(&self.styled, &rules.ghost, rules.cursor_underlined);
        let spot = rules.composer.find(&rows)?;
        let footer: Vec<String> = emptied.composer_and_below(rules).into_iter().skip(1).collect();
        rules.composer.draft_above(&spot, &rows, &footer, self.width)
    }

    /// The rows from the composer's first one on, without ghost text and without the columns before the composer's
    /// text.
    pub(crate) fn composer_and_below(&self, rules: &ScreenRules) -> Vec<String> {
        let rows = styled::rows(&self.styled, &rules.ghost, rules.cursor_underlined);
        rules.composer.find(&rows).map(|spot| spot.and_below(&rows)).unwrap_or_default()
    }

    /// Each rule by its place in the manifest, and whether it holds: the composer, `ready`, `busy`, the dialogs.
    pub fn verdicts(&self, rules: &ScreenRules) -> Vec<(String, bool)> {
        let rows = styled::rows(&self.styled, &rules.ghost, rules.cursor_underlined);
        let texts: Vec<String> = rows.iter().map(|row| row.text().trim_end().to_owned()).collect();
        let composer = rules.composer.find(&rows).is_some();
        let mut out = vec![("composer".to_owned(), composer)];
        let numbered = |name: &str, list: &[Needle]| -> Vec<(String, bool)> {
            list.iter().enumerate().map(|(n, needle)| (format!("{name}[{n}]"), self.holds(needle, &texts))).collect()
        };
        out.extend(numbered("ready", &rules.ready));
        out.extend(numbered("busy", &rules.busy));
        // A dialog of which no condition holds is left out of the report.
        let near = rules.dialogs.iter().filter(|dialog| dialog.when.iter().any(|needle| self.holds(needle, &texts)));
        for dialog in near {
            out.extend(numbered(&format!("dialogs.{}.when", dialog.name), &dialog.when));
        }
        out
    }

    pub(super) fn holds(&self, needle: &Needle, rows: &[String]) -> bool {
        let visible: Vec<&String> = match needle.last_rows {
            Some(n) => {
                let solid: Vec<&String> = rows.iter().filter(|row| !row.trim().is_empty()).collect();
                solid[solid.len().saturating_sub(n)..].to_vec()
            }
            None => rows.iter().collect(),
        };
        let part = |wanted: &Option<String>, test: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(test);
        let all = part(&needle.contains, &|text| visible.iter().any(|row| row.contains(text)))
            && part(&needle.starts, &|text| visible.iter().any(|row| row.starts_with(text)))
            && part(&needle.title_contains, &|text| self.title.contains(text))
            && part(&needle.title_first, &|range| in_range(self.title.chars().next(), range))
            && needle.title_is_host.is_none_or(|wanted| (self.title == self.host || self.title.is_empty()) == wanted)
            && (needle.any.is_empty() || needle.any.iter().any(|one| self.holds(one, rows)));
        all != needle.not
    }

    /// Whether some row contains one of `marks`.
    pub(crate) fn shows_any(&self, marks: &[String]) -> bool {
        !marks.is_empty() && self.rows().iter().any(|row| marks.iter().any(|mark| row.contains(mark.as_str())))
    }

    /// The bottom-most row with a dialog's cursor.
    pub fn cursor_row(&self, glyph: &str) -> Option<String> {
        self.rows().into_iter().rev().find(|row| row.trim_start().starts_with(glyph) || unboxed(row).starts_with(glyph))
    }
}

/// A row without the border of the box that it stands in.
pub(super) fn unboxed(row: &str) -> &str {
    let inner = row.trim_start().strip_prefix('│').unwrap_or(row).trim();
    inner.strip_suffix('│').unwrap_or(inner).trim()
}

/// Whether all texts that identify `dialog` are below the row `at`: then that row is history, not the composer.
fn below(texts: &[String], at: usize, dialog: &Dialog) -> bool {
    dialog
        .when
        .iter()
        .all(|needle| needle.contains.as_ref().is_none_or(|text| texts[at + 1..].iter().any(|row| row.contains(text))))
}

fn in_range(c: Option<char>, range: &str) -> bool {
    let mut ends = range.chars();
    match (c, ends.next(), ends.next()) {
        (Some(c), Some(low), Some(high)) => (low..=high).contains(&c),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::paths::Paths;
    use crate::runtime::manifest::{DialogReply, Manifest};
    use serde_json::json;

    fn rules(runtime: &str) -> ScreenRules {
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| "/nonexistent".into())).unwrap();
        Manifest::load(&paths, &runtime.parse().unwrap()).unwrap().screen.unwrap()
    }

    fn screen(styled: &str) -> Screen {
        Screen { styled: styled.into(), title: "parrot".into(), host: "vm".into(), width: 40 }
    }

    #[test]
    fn a_whole_draft_has_its_blank_lines_and_no_breaks_of_the_screens() {
        let rules = rules("parrot");
        let whole = |draft: &str, below: &str| screen(&format!("old\n»\u{a0}{draft}\n{below}\n")).whole_draft(&rules);
        let footer = "────────\n  parrot ready";
        assert_eq!(whole("one\n\n  two", footer).as_deref(), Some("one\n\ntwo"));
        assert_eq!(whole("one\n  two", "\n  parrot ready").as_deref(), Some("one\ntwo"));
        assert_eq!(whole("one\n\n  two", "\n  parrot ready"), None, "nobody can tell the draft from the footer");
        let words = "a row of words up to the edge of\n  it, and on";
        assert_eq!(whole(words, footer).as_deref(), Some("a row of words up to the edge of it, and on"));
        let long = format!("{}\n  {}", "x".repeat(38), "y".repeat(5));
        assert_eq!(whole(&long, footer), Some("x".repeat(38) + &"y".repeat(5)));
    }

    #[test]
    fn parrot_screens() {
        let rules = rules("parrot");
        let frame =
            |composer: &str, footer: &str| format!("Parrot 0.1\n› hi\n• hi\n─────\n{composer}\n─────\n{footer}\n");
        let sight = |text: &str| format!("{:?}", screen(text).sight(&rules)).chars().take(60).collect::<String>();
        assert_eq!(screen("\n\n").sight(&rules), Sight::Blank);
        let empty = frame("»\u{a0}\u{1b}[2mType a message\u{1b}[0m", "  parrot ready");
        assert_eq!(
            screen(&empty).sight(&rules),
            Sight::Input { draft: Draft::Empty, busy: false },
            "{}",
            sight(&empty)
        );
        let bare = frame("»", "  parrot ready · 12");
        assert_eq!(screen(&bare).sight(&rules), Sight::Input { draft: Draft::Empty, busy: false });
        let busy = frame("»\u{a0}", "  parrot busy · esc to interrupt");
        assert_eq!(screen(&busy).sight(&rules), Sight::Input { draft: Draft::Empty, busy: true });
        let typed = frame("»\u{a0}half a\n  thought", "  parrot ready");
        assert_eq!(
            screen(&typed).sight(&rules),
            Sight::Input { draft: Draft::Text("half a\nthought".into()), busy: false }
        );
        let paste = frame("»\u{a0}[Pasted text #1 +39 lines]", "  parrot ready");
        assert!(matches!(screen(&paste).sight(&rules), Sight::Input { draft: Draft::Paste(_), .. }));
        assert_eq!(screen("» not the composer\n").sight(&rules), Sight::Unknown);
        assert_eq!(screen("Loading…\n").sight(&rules), Sight::Unknown);
    }

    #[test]
    fn a_dialog_is_one_only_where_no_composer_stands_below_it() {
        let rules = rules("parrot");
        let dialog = "Do you trust the files in this folder?\n ❯ No, exit\n   Yes, I trust this folder\n";
        let on = screen(dialog);
        let Sight::Dialog(found) = on.sight(&rules) else { panic!("{:?}", on.sight(&rules)) };
        assert_eq!(found.name, "trust");
        assert!(matches!(found.answer, DialogReply::Choose(_)));
        assert_eq!(on.cursor_row("❯").unwrap().trim(), "❯ No, exit");
        let quoted = format!("• {dialog}─────\n»\u{a0}\n─────\n  parrot ready\n");
        assert_eq!(screen(&quoted).sight(&rules), Sight::Input { draft: Draft::Empty, busy: false });
    }

    #[test]
    fn the_tail_is_two_rows_bounded_and_without_quotes() {
        let s = screen("a\n\n  b   \"x\"\n\nc\n\n");
        assert_eq!(s.tail(), "b 'x' ⏎ c");
        assert_eq!(screen(&"y".repeat(500)).tail().chars().count(), 160);
    }

    /// Codex 0.171.0: the rows of its footer are indented as those of a draft, and one of them comes and goes.
    #[test]
    fn the_end_of_a_draft_is_told_by_the_screen_without_it() {
        let rules: ScreenRules = serde_json::from_value(json!({"composer": "› ", "ready": []})).unwrap();
        let screen = |text: &str| Screen { styled: text.into(), width: 80, ..Screen::default() };
        let drafted = screen("› alpha\n  beta\n\n  delta\n\n  model · /w\n");
        assert_eq!(drafted.whole_draft(&rules), None, "nobody can tell the draft from the footer");
        for (emptied, expected) in [
            ("›\n\n  model · /w\n  ← for agents\n", Some("alpha\nbeta\n\ndelta")),
            ("› \u{1b}[2mAsk\u{1b}[0m\n\n  model · /w       100% left\n", Some("alpha\nbeta\n\ndelta")),
            ("›\n\n  another footer\n", None),
        ] {
            assert_eq!(drafted.whole_draft_by(&screen(emptied), &rules).as_deref(), expected, "{emptied}");
        }
    }

    #[test]
    fn composers_of_every_shape_as_a_table() {
        let box_ = json!({"prefix": "┃  ", "indented": true, "framed": true, "below": "╹▀", "footer": 1});
        let bare = json!({"prefix": "", "above": "────", "below": "────"});
        let either = json!({"prefix": ["❯ ", "! "], "indented": true, "below": "────"});
        let at_zero = json!("❯ ");
        for (rule, screen, draft) in [
            (&box_, "  ┃\n  ┃  said\n  ┃\n     answer\n  ┃\n  ┃\n  ┃\n  ┃  Build · x\n  ╹▀▀▀▀\n", Some("")),
            (
                &box_,
                "       ┃\n       ┃  one\n       ┃\n       ┃  two\n       ┃  Build\n       ╹▀▀▀\n",
                Some("one\n\ntwo"),
            ),
            (&box_, "  ┃  said\n     answer\n", None),
            (&bare, "› said\n────\nhalf a\n\nthought\n────\n footer\n", Some("half a\n\nthought")),
            (&bare, "› said\n────\n\n────\n footer\n", Some("")),
            (&bare, "────\nno end\n", None),
            (&either, " ❯ said\n answer\n────\n❯ typed\n  more\n────\n footer\n", Some("typed\nmore")),
            (&either, "        ────\n        ! ls\n        ────\n footer\n", Some("ls")),
            (&either, " ❯ said\n answer\n", None),
            (&at_zero, " ❯ said\n❯ typed\n  more\n────\n", Some("typed\nmore")),
            (&at_zero, " ❯ said\n", None),
            (&json!({"prefix": "❯ ", "above": "────"}), "❯ said\n────\n❯ typed\n", Some("typed")),
            (&json!({"prefix": "❯ ", "above": "────"}), "❯ said\nword\n", None),
        ] {
            let rules: ScreenRules = serde_json::from_value(json!({ "composer": rule })).unwrap();
            let screen = Screen { styled: screen.into(), ..Screen::default() };
            let found = match screen.sight(&rules) {
                Sight::Input { draft: Draft::Empty, .. } => Some(String::new()),
                Sight::Input { draft: Draft::Text(text), .. } => Some(text),
                Sight::Unknown => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(found.as_deref(), draft, "{rule} {}", screen.styled);
            let whole = screen.whole_draft(&rules).filter(|_| !rule.is_string() && rule["below"].is_string());
            assert!(whole.is_none_or(|whole| Some(whole.as_str()) == draft), "{rule} {}", screen.styled);
        }
    }
}
