//! What a key does: it changes the state of the screen, and may start an errand.

use crate::base::AttentionState;
use crate::base::clock::EpochMs;
use crate::top::errand::KeyErrand;
use crate::top::keys::{TopAct, act_of, help_lines};
use crate::top::popup::{Popup, Purpose, TopWait};
use crate::top::state::TopState;

/// What the caller has to do after a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Followup {
    /// Nothing.
    Nothing,
    /// Run an errand.
    Run(KeyErrand),
    /// Draw the whole screen anew.
    Redraw,
    /// End the program.
    Quit,
}

impl From<Option<KeyErrand>> for Followup {
    fn from(errand: Option<KeyErrand>) -> Followup {
        errand.map_or(Followup::Nothing, Followup::Run)
    }
}

/// How many lines a page has in a text.
const TEXT_PAGE: usize = 10;

impl TopState {
    /// Takes a pressed key, by its name in the table of keys; the name of a character is the character.
    pub(crate) fn press(&mut self, key: &str, now: EpochMs) -> Followup {
        // These two work in popups too.
        match act_of(key) {
            Some(TopAct::Quit) if key == "C-c" => return Followup::Quit,
            Some(TopAct::Redraw) => return Followup::Redraw,
            _ => {}
        }
        match self.popup.take() {
            Some(popup) => self.press_in(popup, key),
            None => {
                self.said = None;
                act_of(key).map_or(Followup::Nothing, |act| self.act(act, now))
            }
        }
    }

    /// Takes pasted text: added to a text that is being written, else ignored.
    pub(crate) fn paste(&mut self, pasted: &str) {
        if let Some(Popup::Writing { purpose, text }) = &mut self.popup {
            let pasted = pasted.replace("\r\n", "\n").replace('\r', "\n");
            let one_line = *purpose == Purpose::Filter;
            text.extend(pasted.chars().map(|c| if one_line && c.is_control() { ' ' } else { c }));
            self.typed();
        }
    }

    fn act(&mut self, act: TopAct, now: EpochMs) -> Followup {
        let at = self.selected().map_or(0, |(at, _)| at);
        let page = self.page.max(1);
        match act {
            TopAct::Up => self.select(at.saturating_sub(1)),
            TopAct::Down => self.select(at + 1),
            TopAct::PageUp => self.select(at.saturating_sub(page)),
            TopAct::PageDown => self.select(at + page),
            TopAct::First => self.select(0),
            TopAct::Last => self.select(usize::MAX),
            TopAct::NextPane => self.pane = self.pane.next(self.roomy),
            TopAct::Trouble => {
                self.only_trouble = !self.only_trouble;
                self.select(0);
            }
            TopAct::Filter => {
                let text = self.filter.clone();
                self.popup = Some(Popup::Writing { purpose: Purpose::Filter, text });
            }
            TopAct::Help => self.popup = Some(Popup::Help(0)),
            TopAct::Quit => return Followup::Quit,
            TopAct::Redraw => return Followup::Redraw,
            TopAct::Inbox => {
                let person = self.selected().filter(|(_, row)| row.has_inbox).map(|(_, row)| row.identity.clone());
                return Followup::Run(KeyErrand::Inbox(person));
            }
            TopAct::Attach | TopAct::Answer | TopAct::Send | TopAct::Interrupt | TopAct::StopOrStart => {
                return self.act_on_peer(act, now);
            }
        }
        Followup::Nothing
    }

    /// The keys that act on the selected peer.
    fn act_on_peer(&mut self, act: TopAct, now: EpochMs) -> Followup {
        let Some((_, row)) = self.selected() else {
            self.say("no peer is selected".to_owned(), true, now);
            return Followup::Nothing;
        };
        let (of, stopped, is_person) = (row.identity.clone(), row.state == AttentionState::Stopped, row.has_inbox);
        Followup::Run(match act {
            TopAct::Answer => match self.details.as_ref().filter(|details| details.of == of) {
                Some(details) if details.wait.is_some() => {
                    self.popup = details.wait.clone().map(|wait| Popup::Answers { wait, chosen: 0 });
                    return Followup::Nothing;
                }
                // The peer's screen may show a question that no file records yet.
                _ => {
                    self.to_answer = Some(of.clone());
                    KeyErrand::Attend(of)
                }
            },
            TopAct::Send => {
                self.popup = Some(Popup::Writing { purpose: Purpose::Message(of), text: String::new() });
                return Followup::Nothing;
            }
            TopAct::StopOrStart if stopped => KeyErrand::Start(of),
            TopAct::StopOrStart => {
                let name = of.personality();
                let question = format!("Stop {name}? It accepts nothing until it is started again; its session ends.");
                self.popup = Some(Popup::Sure { question, errand: KeyErrand::Stop(of) });
                return Followup::Nothing;
            }
            TopAct::Interrupt => KeyErrand::Interrupt(of),
            // A person has an inbox instead of a session.
            _ if is_person => KeyErrand::Inbox(Some(of)),
            _ => KeyErrand::Attach(of),
        })
    }

    /// Takes a key while `popup` is open. The popup is closed unless it is put back into the state.
    fn press_in(&mut self, popup: Popup, key: &str) -> Followup {
        match popup {
            Popup::Help(from) => {
                self.popup = moved(key, from, help_lines().len(), TEXT_PAGE).map(Popup::Help);
                Followup::Nothing
            }
            Popup::Sure { question, errand } => match key {
                "y" => Followup::Run(errand),
                "n" | "Esc" | "q" => Followup::Nothing,
                _ => {
                    self.popup = Some(Popup::Sure { question, errand });
                    Followup::Nothing
                }
            },
            Popup::Answers { wait, chosen } => self.answer(wait, chosen, key),
            Popup::Inbox { person, letters, chosen } => {
                let picked = numbered(key, letters.len()).or((key == "Enter").then_some(chosen));
                if let Some(letter) = picked.and_then(|at| letters.get(at)) {
                    return Followup::Run(KeyErrand::Read { id: letter.id.clone() });
                }
                if let Some(chosen) = chosen_by(key, chosen, letters.len()) {
                    self.popup = Some(Popup::Inbox { person, letters, chosen });
                }
                Followup::Nothing
            }
            Popup::Letter { id, text, from_line } => match key {
                "r" => {
                    self.popup = Some(Popup::Writing { purpose: Purpose::Reply(id), text: String::new() });
                    Followup::Nothing
                }
                "n" | "Enter" => self.act(TopAct::Inbox, EpochMs::default()),
                _ => {
                    let moved = moved(key, from_line, text.lines().count().saturating_sub(1), TEXT_PAGE);
                    self.popup = moved.map(|from_line| Popup::Letter { id, text, from_line });
                    Followup::Nothing
                }
            },
            Popup::Writing { purpose, text } => self.write(purpose, text, key),
        }
    }

    fn answer(&mut self, wait: TopWait, chosen: usize, key: &str) -> Followup {
        let picked = numbered(key, wait.answers.len()).or((key == "Enter").then_some(chosen));
        match picked.and_then(|at| wait.answers.get(at).cloned()) {
            // A hook passes a reason on to the model; an answer on the screen can't.
            Some(word) if word == "deny" && wait.request.is_some() => {
                self.popup = Some(Popup::Writing { purpose: Purpose::Why { wait, word }, text: String::new() });
                Followup::Nothing
            }
            Some(word) => {
                Followup::Run(KeyErrand::Answer { to: wait.of, request: wait.request, word, why: String::new() })
            }
            None => {
                let moved = chosen_by(key, chosen, wait.answers.len());
                self.popup = moved.map(|chosen| Popup::Answers { wait, chosen });
                Followup::Nothing
            }
        }
    }

    fn write(&mut self, purpose: Purpose, mut text: String, key: &str) -> Followup {
        match key {
            "Esc" => {
                if purpose == Purpose::Filter {
                    self.filter.clear();
                    self.select(0);
                }
                return Followup::Nothing;
            }
            "Enter" => {
                let errand = match purpose {
                    Purpose::Filter => None,
                    Purpose::Why { wait, word } => {
                        let why = text.trim().to_owned();
                        Some(KeyErrand::Answer { to: wait.of, request: wait.request, word, why })
                    }
                    // An empty message is not sent.
                    _ if text.trim().is_empty() => None,
                    Purpose::Message(to) => Some(KeyErrand::Send { to, text }),
                    Purpose::Reply(id) => Some(KeyErrand::Reply { id, text }),
                };
                return errand.into();
            }
            "Backspace" => drop(text.pop()),
            "C-u" => text.clear(),
            "Space" => text.push(' '),
            one if one.chars().count() == 1 => text.push_str(one),
            _ => {}
        }
        self.popup = Some(Popup::Writing { purpose, text });
        self.typed();
        Followup::Nothing
    }

    /// A text has changed: a filter takes effect while it is typed.
    fn typed(&mut self) {
        if let Some(Popup::Writing { purpose: Purpose::Filter, text }) = &self.popup {
            self.filter = text.clone();
            let keep = self.selected().map_or(0, |(at, _)| at);
            self.select(keep);
        }
    }
}

/// The line that a key scrolls to in a text; `None`: the text is closed.
fn moved(key: &str, from: usize, last: usize, page: usize) -> Option<usize> {
    match key {
        "Up" | "k" => Some(from.saturating_sub(1)),
        "Down" | "j" => Some((from + 1).min(last)),
        "PageUp" => Some(from.saturating_sub(page)),
        "PageDown" | "Space" => Some((from + page).min(last)),
        "Home" | "g" => Some(0),
        "Esc" | "q" | "?" | "h" | "Enter" => None,
        _ => Some(from),
    }
}

/// The entry that a key moves to in a list of `count`; `None`: the list is closed.
fn chosen_by(key: &str, chosen: usize, count: usize) -> Option<usize> {
    moved(key, chosen, count.saturating_sub(1), TEXT_PAGE)
}

/// The index of the entry that a digit names, counted from 1, in a list of `count`.
fn numbered(key: &str, count: usize) -> Option<usize> {
    key.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::AttentionState::{Approval, Idle, Stopped};
    use crate::base::identity::Identity;
    use crate::top::keys::TOP_KEYS;
    use crate::top::plan::Pane;
    use crate::top::row::TopRow;
    use crate::top::row::tests::row;
    use crate::top::state::TopDetails;

    const NOW: EpochMs = EpochMs(0);

    fn id(name: &str) -> Identity {
        format!("parrot-{name}").parse().unwrap()
    }

    fn wait(request: Option<&str>) -> TopWait {
        let answers = ["allow", "deny"].map(str::to_owned).into();
        TopWait { of: id("a"), request: request.map(str::to_owned), what: "Shell: touch x".to_owned(), answers }
    }

    fn state() -> TopState {
        let mut state = TopState { page: 2, ..TopState::default() };
        let person = TopRow { has_inbox: true, ..row("me", Idle) };
        state.take_rows(vec![row("a", Approval), row("b", Idle), person, row("z", Stopped)]);
        state
    }

    fn waiting(request: Option<&str>) -> TopState {
        let wait = Some(wait(request));
        let details = TopDetails { of: id("a"), screen: Ok(vec![]), queue: Ok(vec![]), events: vec![], wait };
        TopState { details: Some(details), ..state() }
    }

    /// The keys, and what follows from the last one.
    fn pressed(state: &mut TopState, keys: &str) -> Followup {
        keys.split(' ').map(|key| state.press(key, NOW)).last().unwrap()
    }

    #[test]
    fn every_key_of_the_table_does_something() {
        for key in TOP_KEYS.iter().flat_map(|key| key.names) {
            let mut state = state();
            state.select(1);
            let before = format!("{state:?}");
            let followup = state.press(key, NOW);
            assert!(followup != Followup::Nothing || format!("{state:?}") != before, "{key}");
        }
        let mut state = state();
        assert_eq!(state.press("x", NOW), Followup::Nothing);
    }

    #[test]
    fn what_follows_from_keys_as_a_table() {
        let send = |text: &str| KeyErrand::Send { to: id("a"), text: text.to_owned() };
        for (keys, errand) in [
            ("a", KeyErrand::Attach(id("a"))),
            ("Down Enter", KeyErrand::Attach(id("b"))),
            ("End s", KeyErrand::Start(id("z"))),
            ("s y", KeyErrand::Stop(id("a"))),
            ("i", KeyErrand::Interrupt(id("a"))),
            ("m h i Space x Backspace ! Enter", send("hi !")),
            ("m x C-u o k Enter", send("ok")),
            ("r", KeyErrand::Inbox(None)),
            ("G k r", KeyErrand::Inbox(Some(id("me")))),
            ("G k Enter", KeyErrand::Inbox(Some(id("me")))),
            ("y", KeyErrand::Attend(id("a"))),
        ] {
            assert_eq!(pressed(&mut state(), keys), Followup::Run(errand), "{keys}");
        }
        for keys in ["s n", "s Esc", "s x", "m Enter", "m x Esc", "? q", "/ q Enter", "m q", "x"] {
            assert_eq!(pressed(&mut state(), keys), Followup::Nothing, "{keys}");
        }
        for keys in ["q", "C-c", "m C-c", "? C-c"] {
            assert_eq!(pressed(&mut state(), keys), Followup::Quit, "{keys}");
        }
    }

    #[test]
    fn answers_as_a_table() {
        let answer = |request: Option<&str>, word: &str, why: &str| KeyErrand::Answer {
            to: id("a"),
            request: request.map(str::to_owned),
            word: word.to_owned(),
            why: why.to_owned(),
        };
        for (request, keys, errand) in [
            (None, "y Enter", answer(None, "allow", "")),
            (None, "y 2", answer(None, "deny", "")),
            (None, "y Down Enter", answer(None, "deny", "")),
            (Some("ab"), "y 1", answer(Some("ab"), "allow", "")),
            (Some("ab"), "y 2 n o Enter", answer(Some("ab"), "deny", "no")),
            (Some("ab"), "y 2 Enter", answer(Some("ab"), "deny", "")),
        ] {
            assert_eq!(pressed(&mut waiting(request), keys), Followup::Run(errand), "{request:?} {keys}");
        }
        for keys in ["y", "y Esc", "y 3", "y q"] {
            assert_eq!(pressed(&mut waiting(None), keys), Followup::Nothing, "{keys}");
        }
    }

    #[test]
    fn filters_hold_while_they_are_typed_and_a_paste_is_text() {
        let mut state = state();
        pressed(&mut state, "/ z");
        assert_eq!((state.filter.as_str(), state.selected_identity()), ("z", Some(id("z"))));
        pressed(&mut state, "Enter ! !");
        assert_eq!(state.shown().len(), 1);
        pressed(&mut state, "/ Esc");
        assert_eq!(state.shown().len(), 4);
        pressed(&mut state, "m");
        state.paste("one\r\ntwo");
        let text = "one\ntwo".to_owned();
        let to = state.selected_identity().unwrap();
        assert_eq!(state.press("Enter", NOW), Followup::Run(KeyErrand::Send { to, text }));
        state.paste("nobody types");
        assert!(state.popup.is_none());
    }

    #[test]
    fn letters_are_read_scrolled_and_answered() {
        let mut state = state();
        let letter = |from_line| Popup::Letter { id: "01".to_owned(), text: "a\nb\nc".to_owned(), from_line };
        state.popup = Some(letter(0));
        pressed(&mut state, "Down Down Down");
        assert_eq!(state.popup, Some(letter(2)));
        let reply = KeyErrand::Reply { id: "01".to_owned(), text: "y".to_owned() };
        assert_eq!(pressed(&mut state, "r y Enter"), Followup::Run(reply));
        assert_eq!(state.pane, Pane::All);
    }
}
