//! The result of one call to tmux about a session: the facts, the attached terminals, the screen.

use super::{PaneId, TmuxError};
use crate::base::clock::EpochMs;

/// The facts of [`PaneLook`] on one line, and the title on the next. The host's name comes last, since it may hold a
/// `|`.
pub(crate) const LOOK: &str = "#{pid}|#{pane_pid}|#{pane_dead}|#{pane_dead_status}|#{pane_dead_signal}|#{pane_in_mode}|#{window_activity}|#{pane_width}|#{pane_id}|#{host}\n#{pane_title}";
/// One line for each attached terminal, for [`Survey`].
pub(crate) const CLIENT: &str = "client|#{client_activity}|#{client_control_mode}|#{client_name}";

/// The facts about a session from one call to tmux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaneLook {
    /// The server's pid.
    pub server_pid: i32,
    /// The pid of the pane's first process. For a dead pane tmux 3.8 reports none, earlier versions the former pid.
    pub pane_pid: Option<i32>,
    /// Whether the pane's program has ended.
    pub pane_dead: bool,
    /// The exit status of the ended program.
    pub dead_status: Option<i32>,
    /// The signal that has ended the program.
    pub dead_signal: Option<i32>,
    /// Whether the pane is in a mode of tmux's: copy mode, a chooser, the clock.
    pub in_mode: bool,
    /// When the window last changed, in seconds since 1970.
    pub window_activity: u64,
    /// How many columns the pane has.
    pub width: usize,
    /// The pane's id.
    pub pane: Option<PaneId>,
    /// The host's name: tmux's default title.
    pub host: String,
    /// The pane's title.
    pub title: String,
}

impl PaneLook {
    pub(crate) fn parse(line: &str, title: &str) -> Option<PaneLook> {
        let mut fields = line.splitn(10, '|');
        let mut next = || fields.next().unwrap_or_default().to_owned();
        Some(PaneLook {
            server_pid: next().parse().ok()?,
            pane_pid: next().parse().ok(),
            pane_dead: next() == "1",
            dead_status: next().parse().ok(),
            dead_signal: next().parse().ok(),
            in_mode: !matches!(next().as_str(), "" | "0"),
            window_activity: next().parse().unwrap_or(0),
            width: next().parse().unwrap_or(0),
            pane: next().parse().ok(),
            host: next(),
            title: title.to_owned(),
        })
    }

    /// Whether tmux has said how the pane's program ended.
    pub(crate) fn has_ending(&self) -> bool {
        self.dead_status.is_some() || self.dead_signal.is_some()
    }

    /// How the pane's program ended, in words.
    pub fn ending(&self) -> String {
        match (self.dead_status, self.dead_signal) {
            (_, Some(signal)) => format!("signal {signal}"),
            (Some(status), None) => format!("status {status}"),
            (None, None) => "status unknown".into(),
        }
    }
}

/// A terminal attached to any session of the server: a grouped session shows the agent's pane under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// When its person last pressed a key.
    pub activity: EpochMs,
    /// Whether it is a program in control mode (iTerm2): what its person types reaches the pane as commands, which tmux
    /// does not count as activity.
    pub control: bool,
    /// The name of the terminal.
    pub name: String,
}

/// The facts, the attached terminals and the screen, from one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The facts.
    pub look: PaneLook,
    /// The attached terminals.
    pub clients: Vec<Client>,
    /// The visible screen.
    pub screen: String,
}

impl Survey {
    /// Parses tmux's output. `mark` is the line before the screen, which no title and no program can guess.
    pub(crate) fn parse(said: &str, mark: &str) -> Result<Survey, TmuxError> {
        let bad = || TmuxError::Other { call: "survey".into(), message: "an answer of an unknown shape".into() };
        let (head, screen) = said.split_once(&format!("\n{mark}\n")).ok_or_else(bad)?;
        let mut lines = head.split('\n');
        let facts = lines.next().unwrap_or_default();
        let look = PaneLook::parse(facts, lines.next().unwrap_or_default()).ok_or_else(bad)?;
        if look.pane.is_none() {
            return Err(TmuxError::NoSession);
        }
        let clients = lines.filter_map(client).collect();
        Ok(Survey { look, clients, screen: screen.to_owned() })
    }
}

/// A line of the form [`CLIENT`].
fn client(line: &str) -> Option<Client> {
    let mut fields = line.strip_prefix("client|")?.splitn(3, '|');
    let seconds: u64 = fields.next()?.parse().unwrap_or(0);
    let control = fields.next()? == "1";
    Some(Client { activity: EpochMs(seconds.saturating_mul(1000)), control, name: fields.next()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_pane_has_a_pid_up_to_tmux_3_5_and_none_in_3_8() {
        for (pid, parsed) in [("17057", Some(17057)), ("", None)] {
            let look = PaneLook::parse(&format!("9|{pid}|1|3|||1795279052|220|%0|v|m"), "title").unwrap();
            assert_eq!((look.server_pid, look.pane_pid, look.dead_status), (9, parsed, Some(3)));
            assert!(look.pane_dead && look.pane == Some(PaneId::FIRST) && look.host == "v|m");
        }
        assert_eq!(PaneLook::parse("no server", ""), None);
    }

    #[test]
    fn a_title_or_a_row_that_looks_like_a_line_of_ours_is_what_it_is() {
        let facts = "9|17|0|||0|5|220|%3|vm";
        for title in ["screen", "client|9|0|x", "mark", "", "a|b|c"] {
            let said = format!("{facts}\n{title}\nclient|7|1|/dev/pts/1\nmark-1\nscreen\nmark-1\nrow\n");
            let survey = Survey::parse(&said, "mark-1").unwrap();
            assert_eq!((survey.look.title.as_str(), survey.screen.as_str()), (title, "screen\nmark-1\nrow\n"));
            let client = Client { activity: EpochMs(7000), control: true, name: "/dev/pts/1".into() };
            assert_eq!(survey.clients, [client]);
        }
        let gone = Survey::parse("9||||||||vm|\n\nmark-1\n", "mark-1");
        assert_eq!(gone, Err(TmuxError::NoSession));
    }
}
