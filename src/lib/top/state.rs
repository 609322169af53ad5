//! What the screen shows: the peers, the selected one, the popup and the last notice.

use crate::base::clock::EpochMs;
use crate::base::identity::{Identity, Personality};
use crate::top::errand::{ErrandDone, KeyErrand};
use crate::top::plan::Pane;
use crate::top::popup::{InboxLine, Popup, TopWait};
use crate::top::row::TopRow;
use serde_json::Value;

/// The details of the selected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopDetails {
    pub of: Identity,
    /// The rows of its screen; for a person the unread messages. The error says why there are none.
    pub screen: Result<Vec<String>, String>,
    /// Its queue, one item per line.
    pub queue: Result<Vec<String>, String>,
    /// Its newest events, the oldest first.
    pub events: Vec<String>,
    /// What it waits for, if that can be answered.
    pub wait: Option<TopWait>,
}

/// The state of the screen.
#[derive(Debug, Default)]
pub(crate) struct TopState {
    /// Every peer, those that need a person first.
    pub rows: Vec<TopRow>,
    /// The selected peer.
    pub chosen: Option<Personality>,
    /// The first row that is shown.
    pub first: usize,
    /// How many rows of the table are shown.
    pub page: usize,
    /// Whether all panes are shown at once.
    pub roomy: bool,
    pub pane: Pane,
    pub filter: String,
    pub only_trouble: bool,
    pub popup: Option<Popup>,
    pub details: Option<TopDetails>,
    /// The last notice, whether it is bad news, and its time.
    pub said: Option<(String, bool, EpochMs)>,
    /// The errands that run.
    pub running: Vec<KeyErrand>,
    /// The peer whose answers are opened as soon as they are known.
    pub to_answer: Option<Identity>,
    /// The owner, and the number of unread messages.
    pub owner: Option<(Personality, usize)>,
    /// The name of this host.
    pub host: String,
    /// Why the peers can't be listed now.
    pub trouble: Option<String>,
}

impl TopState {
    /// The peers that are shown.
    pub(crate) fn shown(&self) -> Vec<&TopRow> {
        let wanted = |row: &&TopRow| (!self.only_trouble || row.state.is_trouble()) && row.matches(&self.filter);
        self.rows.iter().filter(wanted).collect()
    }

    /// The selected peer's row, and its index among the rows that are shown.
    pub(crate) fn selected(&self) -> Option<(usize, &TopRow)> {
        let name = self.chosen.as_ref()?;
        self.shown().into_iter().enumerate().find(|(_, row)| row.identity.personality() == name)
    }

    /// The identity of the selected row.
    pub(crate) fn selected_identity(&self) -> Option<Identity> {
        self.selected().map(|(_, row)| row.identity.clone())
    }

    /// Takes over new rows. The selection stays with its peer, wherever its row is now.
    pub(crate) fn take_rows(&mut self, rows: Vec<TopRow>) {
        let place = self.selected().map_or(0, |(at, _)| at);
        self.rows = rows;
        if self.selected().is_none() {
            self.select(place);
        }
        self.scroll();
    }

    /// Takes over the details of a peer, if it is still selected. Opens the popup of its answers where that was asked for.
    pub(crate) fn take_details(&mut self, details: TopDetails, now: EpochMs) {
        if self.to_answer.as_ref() == Some(&details.of) && self.running.is_empty() {
            self.to_answer = None;
            match &details.wait {
                Some(wait) => self.popup = Some(Popup::Answers { wait: wait.clone(), chosen: 0 }),
                None => self.say(nothing_to_answer(&details.of), true, now),
            }
        }
        // Closes an open popup whose wait is over: an answer must not go to a different wait.
        if let Some(Popup::Answers { wait, .. }) = &self.popup
            && wait.of == details.of
            && details.wait.as_ref() != Some(wait)
        {
            self.say(format!("{} waits for that no longer", wait.of.personality()), true, now);
            self.popup = None;
        }
        if self.selected_identity().as_ref() == Some(&details.of) {
            self.details = Some(details);
        }
    }

    /// Takes over the result of an errand.
    pub(crate) fn take_done(&mut self, done: &ErrandDone, now: EpochMs) {
        if let Some(at) = self.running.iter().position(|errand| *errand == done.errand) {
            self.running.remove(at);
        }
        match &done.errand {
            // The details, which are read next, show the result.
            errand if errand.is_quiet() => {}
            KeyErrand::Inbox(person) if done.succeeded => {
                let letters: Vec<InboxLine> = done.printed.lines().filter_map(inbox_line).collect();
                if letters.is_empty() {
                    self.say("nothing unread: `iapeer inbox --all` shows what was read".to_owned(), false, now);
                } else {
                    self.popup = Some(Popup::Inbox { person: person.clone(), letters, chosen: 0 });
                }
            }
            KeyErrand::Read { id } if done.succeeded => {
                self.popup = Some(Popup::Letter { id: id.clone(), text: done.printed.clone(), from_line: 0 });
            }
            _ => self.say(done.line(), !done.succeeded, now),
        }
    }

    /// Shows a notice at the foot of the screen.
    pub(crate) fn say(&mut self, text: String, bad: bool, now: EpochMs) {
        self.said = Some((text, bad, now));
    }

    /// Selects the row with this index among those that are shown, or the last one.
    pub(crate) fn select(&mut self, place: usize) {
        let shown = self.shown();
        let chosen = shown.get(place.min(shown.len().saturating_sub(1))).map(|row| row.identity.personality().clone());
        self.chosen = chosen;
        self.scroll();
    }

    /// Scrolls so that the selected row is visible.
    pub(crate) fn scroll(&mut self) {
        let (count, page) = (self.shown().len(), self.page.max(1));
        let at = self.selected().map_or(0, |(at, _)| at);
        self.first = self.first.min(at).max((at + 1).saturating_sub(page)).min(count.saturating_sub(page));
    }
}

/// The notice about a peer that waits for no answer.
pub(crate) fn nothing_to_answer(of: &Identity) -> String {
    format!("{} waits for nothing that can be answered from here; a attaches", of.personality())
}

/// A line of `iapeer inbox --json`.
fn inbox_line(line: &str) -> Option<InboxLine> {
    let letter: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| letter[name].as_str().unwrap_or_default();
    let line = letter_line(text("ts"), text("from"), letter["topic"].as_str(), text("body"));
    Some(InboxLine { id: text("id").to_owned(), line })
}

/// A message in one line: day and time, sender, topic, and its first line.
pub(crate) fn letter_line(ts: &str, from: &str, topic: Option<&str>, body: &str) -> String {
    let time = EpochMs::parse(ts).map_or_else(|| ts.to_owned(), EpochMs::local);
    let time = time.get(5..16).unwrap_or(&time).replace('T', " ");
    let topic = topic.map(|topic| format!("[{topic}] ")).unwrap_or_default();
    format!("{time}  {from}  {topic}{}", body.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::AttentionState::{self, Approval, Idle, Working};
    use crate::top::row::tests::row;

    const NOW: EpochMs = EpochMs(0);

    fn state(rows: &[(&str, AttentionState)]) -> TopState {
        let mut state = TopState { page: 2, ..TopState::default() };
        state.take_rows(rows.iter().map(|(name, state)| row(name, *state)).collect());
        state
    }

    fn chosen(state: &TopState) -> &str {
        state.chosen.as_ref().unwrap().as_str()
    }

    fn details(name: &str, wait: Option<TopWait>) -> TopDetails {
        let of = format!("parrot-{name}").parse().unwrap();
        TopDetails { of, screen: Ok(vec![]), queue: Ok(vec![]), events: vec![], wait }
    }

    fn wait(what: &str) -> TopWait {
        let of = "parrot-b".parse().unwrap();
        TopWait { of, request: None, what: what.to_owned(), answers: vec!["allow".to_owned()] }
    }

    #[test]
    fn the_selection_stays_with_its_peer_and_in_sight() {
        let mut state = state(&[("a", Idle), ("b", Idle), ("c", Idle), ("d", Idle)]);
        assert_eq!(chosen(&state), "a");
        state.select(3);
        assert_eq!((chosen(&state), state.first), ("d", 2));
        let again = [("d", Approval), ("a", Idle), ("b", Idle), ("c", Idle)];
        state.take_rows(again.iter().map(|(name, state)| row(name, *state)).collect());
        assert_eq!((chosen(&state), state.first), ("d", 0));
        // The peer is gone: the peer in its place is selected.
        state.select(1);
        state.take_rows([("d", Approval), ("b", Idle)].iter().map(|(name, state)| row(name, *state)).collect());
        assert_eq!(chosen(&state), "b");
        state.take_rows(vec![]);
        assert!(state.selected().is_none() && state.chosen.is_none());
    }

    #[test]
    fn filters_hide_and_show() {
        let mut state = state(&[("a", Approval), ("b", Working), ("bo", Idle)]);
        let names = |state: &TopState| -> Vec<String> {
            state.shown().iter().map(|row| row.identity.personality().to_string()).collect()
        };
        state.filter = "b".to_owned();
        assert_eq!(names(&state), ["b", "bo"]);
        state.only_trouble = true;
        assert!(names(&state).is_empty());
        state.filter.clear();
        assert_eq!(names(&state), ["a"]);
    }

    #[test]
    fn an_answer_is_to_what_lies_on_the_screen() {
        let mut state = state(&[("b", Approval)]);
        state.to_answer = Some("parrot-b".parse().unwrap());
        state.take_details(details("b", Some(wait("one"))), NOW);
        assert_eq!(state.popup, Some(Popup::Answers { wait: wait("one"), chosen: 0 }));
        state.take_details(details("b", Some(wait("one"))), NOW);
        assert!(state.popup.is_some() && state.said.is_none());
        state.take_details(details("b", Some(wait("two"))), NOW);
        assert!(state.popup.is_none() && state.said.as_ref().unwrap().0.contains("no longer"));
        state.to_answer = Some("parrot-b".parse().unwrap());
        state.take_details(details("b", None), NOW);
        assert!(state.popup.is_none() && state.said.as_ref().unwrap().0.contains("nothing that can be answered"));
    }

    #[test]
    fn an_inbox_is_opened_and_an_empty_one_said() {
        let mut state = state(&[("b", Idle)]);
        let mut done = ErrandDone {
            errand: KeyErrand::Inbox(None),
            succeeded: true,
            printed: r#"{"id":"01AB","from":"parrot-b","ts":"2026-11-21T05:46:07Z","body":"one\ntwo"}"#.to_owned(),
            complained: String::new(),
        };
        state.take_done(&done, NOW);
        let Some(Popup::Inbox { letters, .. }) = &state.popup else { panic!("{:?}", state.popup) };
        assert!(letters[0].id == "01AB" && letters[0].line.ends_with("parrot-b  one"), "{letters:?}");
        state.popup = None;
        done.printed.clear();
        state.take_done(&done, NOW);
        assert!(state.popup.is_none() && state.said.is_some());
    }
}
