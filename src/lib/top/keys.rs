//! The keys of `iapeer top`, in one table: it decides what a key does, the help on the screen and the table in
//! `docs/top.md` are generated from it, and `tests/top.rs` presses each of its keys.

/// What a key of the screen does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopAct {
    /// Selects the peer above.
    Up,
    /// Selects the peer below.
    Down,
    /// Goes a page up.
    PageUp,
    /// Goes a page down.
    PageDown,
    /// Selects the first peer.
    First,
    /// Selects the last peer.
    Last,
    /// Shows the next pane of the selected peer.
    NextPane,
    /// Attaches to the session.
    Attach,
    /// Answers what the peer waits for.
    Answer,
    /// Sends a message.
    Send,
    /// Reads the inbox.
    Inbox,
    /// Interrupts the running turn.
    Interrupt,
    /// Stops the peer, or starts it.
    StopOrStart,
    /// Filters the peers.
    Filter,
    /// Shows only peers that need a person.
    Trouble,
    /// Draws everything anew.
    Redraw,
    /// Shows the help.
    Help,
    /// Ends the program.
    Quit,
}

/// A row of the table of keys.
#[derive(Debug, Clone, Copy)]
pub struct TopKey {
    /// The names of the keys: `q`, `Up`, `C-l` for Ctrl and l.
    pub names: &'static [&'static str],
    /// What they do.
    pub act: TopAct,
    /// The word for it at the foot of the screen; empty where the foot does not name it.
    pub hint: &'static str,
    /// What they do, in a sentence.
    pub help: &'static str,
}

const fn key(names: &'static [&'static str], act: TopAct, hint: &'static str, help: &'static str) -> TopKey {
    TopKey { names, act, hint, help }
}

/// Every key there is.
pub const TOP_KEYS: [TopKey; 18] = [
    key(&["Up", "k"], TopAct::Up, "", "Select the peer above."),
    key(&["Down", "j"], TopAct::Down, "", "Select the peer below."),
    key(&["PageUp"], TopAct::PageUp, "", "Go a page up."),
    key(&["PageDown"], TopAct::PageDown, "", "Go a page down."),
    key(&["Home", "g"], TopAct::First, "", "Select the first peer."),
    key(&["End", "G"], TopAct::Last, "", "Select the last peer."),
    key(&["Tab"], TopAct::NextPane, "pane", "Show the next pane: screen, queue, events, or all of them."),
    key(&["Enter", "a"], TopAct::Attach, "attach", "Attach to its session; of a person, read the inbox."),
    key(&["y"], TopAct::Answer, "answer", "Answer what it waits for: an approval, a question."),
    key(&["m"], TopAct::Send, "send", "Send it a message, from you."),
    key(&["r"], TopAct::Inbox, "read", "Read the inbox: the selected person's, else the owner's."),
    key(&["i"], TopAct::Interrupt, "interrupt", "Interrupt the turn that runs."),
    key(&["s"], TopAct::StopOrStart, "stop/start", "Stop it, after a question; start it where it is stopped."),
    key(&["/"], TopAct::Filter, "filter", "Show only peers with these letters in name, state or purpose."),
    key(&["!"], TopAct::Trouble, "trouble", "Show only peers that need somebody, or all again."),
    key(&["C-l"], TopAct::Redraw, "", "Draw everything anew."),
    key(&["?", "h"], TopAct::Help, "help", "Show this help."),
    key(&["q", "C-c"], TopAct::Quit, "quit", "Quit. The peers go on."),
];

/// The notes below the keys in the help.
pub const TOP_NOTES: [&str; 6] = [
    "In a text: Enter takes it, Esc gives it up, C-u clears it.",
    "In a list: Up, Down or its number, then Enter.",
    "QUEUE: messages that wait, + dead letters; a person's unread ones.",
    "LAST: the last message. TURN: for how long a turn has run.",
    "CPU, MEM: all processes of the session; 100% is one processor.",
    "TOKENS: in and out in 24 hours, without those read from a cache.",
];

/// What the key with this name does.
pub(crate) fn act_of(name: &str) -> Option<TopAct> {
    TOP_KEYS.iter().find(|key| key.names.contains(&name)).map(|key| key.act)
}

/// The lines of the help.
pub(crate) fn help_lines() -> Vec<String> {
    let keys = TOP_KEYS.iter().map(|key| format!("{:<8} {}", key.names.join(" "), key.help));
    keys.chain([String::new()]).chain(TOP_NOTES.map(str::to_owned)).collect()
}

/// The foot of the screen, as far as it fits into `width`.
pub(crate) fn hints(width: usize) -> String {
    let mut line = String::new();
    // Help and quit come first, for somebody who does not know the keys.
    let (last, first): (Vec<&TopKey>, Vec<&TopKey>) = TOP_KEYS
        .iter()
        .filter(|key| !key.hint.is_empty())
        .partition(|key| !matches!(key.act, TopAct::Help | TopAct::Quit));
    for key in first.into_iter().chain(last) {
        // The shortest name: the letter, where there is one.
        let name = key.names.iter().min_by_key(|name| name.len()).copied().unwrap_or_default();
        let (word, gap) = (format!("{name} {}", key.hint), if line.is_empty() { 0 } else { 2 });
        if line.len() + gap + word.len() > width {
            break;
        }
        line.extend(std::iter::repeat_n(' ', gap));
        line.push_str(&word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_does_two_things_and_the_foot_fits_a_small_terminal() {
        let mut names: Vec<&str> = TOP_KEYS.iter().flat_map(|key| key.names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(act_of("?"), Some(TopAct::Help));
        assert_eq!(act_of("x"), None);
        let foot = hints(120);
        assert!(
            foot.starts_with("? help  q quit  Tab pane  a attach  y answer") && foot.ends_with("! trouble"),
            "{foot}"
        );
        assert_eq!(hints(20), "? help  q quit");
        // Within a frame, on 80 columns.
        assert!(help_lines().iter().all(|line| line.len() <= 74), "{:?}", help_lines());
    }
}
