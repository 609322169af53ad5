//! What one call to tmux tells of a session: the facts, who is attached, the screen.

use super::TmuxError;
use crate::base::clock::EpochMs;

/// The facts of [`PaneLook`], one line, and the title on the next.
pub(crate) const LOOK: &str = "#{pid}|#{pane_pid}|#{pane_dead}|#{pane_dead_status}|#{pane_dead_signal}|#{pane_in_mode}|#{window_activity}|#{host}|#{session_id}:#{pane_id}\n#{pane_title}";

/// What one look at a session tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaneLook {
    /// The server's pid.
    pub server_pid: i32,
    /// The pid of the pane's first process; tmux 3.8 has none for a dead pane, earlier ones name what it was.
    pub pane_pid: Option<i32>,
    /// Its program has ended.
    pub pane_dead: bool,
    /// With this exit status.
    pub dead_status: Option<i32>,
    /// By this signal.
    pub dead_signal: Option<i32>,
    /// The pane is in a mode (copy mode).
    pub in_mode: bool,
    /// When the window last changed, in seconds since 1970.
    pub window_activity: u64,
    /// The host's name: tmux's default title.
    pub host: String,
    /// Names this very session and pane: `$0:%0`.
    pub token: String,
    /// The pane's title.
    pub title: String,
}

impl PaneLook {
    pub(crate) fn parse(line: &str, title: &str) -> Option<PaneLook> {
        let mut fields = line.split('|');
        let mut next = || fields.next().unwrap_or_default().to_owned();
        Some(PaneLook {
            server_pid: next().parse().ok()?,
            pane_pid: next().parse().ok(),
            pane_dead: next() == "1",
            dead_status: next().parse().ok(),
            dead_signal: next().parse().ok(),
            in_mode: !matches!(next().as_str(), "" | "0"),
            window_activity: next().parse().unwrap_or(0),
            host: next(),
            token: next(),
            title: title.to_owned(),
        })
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

/// A terminal attached to the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// When its person last pressed a key.
    pub activity: EpochMs,
    /// Its terminal.
    pub name: String,
}

/// A look, the attached terminals, and the screen, taken in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The facts.
    pub look: PaneLook,
    /// Who is attached.
    pub clients: Vec<Client>,
    /// The visible screen.
    pub screen: String,
}

impl Survey {
    pub(crate) fn parse(said: &str) -> Result<Survey, TmuxError> {
        let bad = || TmuxError::Other { call: "survey".into(), message: "an answer of an unknown shape".into() };
        let (head, screen) = said.split_once("\nscreen\n").ok_or_else(bad)?;
        let mut lines = head.lines();
        let facts = lines.next().unwrap_or_default();
        let look = PaneLook::parse(facts, lines.next().unwrap_or_default()).ok_or_else(bad)?;
        let clients = lines
            .filter_map(|line| line.strip_prefix("client|")?.split_once('|'))
            .map(|(activity, name)| Client {
                activity: EpochMs(activity.parse::<u64>().unwrap_or(0) * 1000),
                name: name.to_owned(),
            })
            .collect();
        Ok(Survey { look, clients, screen: screen.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_pane_has_a_pid_up_to_tmux_3_5_and_none_in_3_8() {
        for (pid, parsed) in [("17057", Some(17057)), ("", None)] {
            let look = PaneLook::parse(&format!("9|{pid}|1|3|||1795279052|vm|$0:%0"), "title").unwrap();
            assert_eq!((look.server_pid, look.pane_pid, look.dead_status), (9, parsed, Some(3)));
            assert!(look.pane_dead && look.token == "$0:%0");
        }
        assert_eq!(PaneLook::parse("no server", ""), None);
    }
}
