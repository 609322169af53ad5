//! How long a session has been quiet, from two independent signals and, where the runtime reports it, the state of the
//! turn (D10). Two signals are needed: a transcript does not grow while an answer streams, and a window changes while
//! only a status line is repainted.

use crate::base::clock::EpochMs;
use crate::base::identity::Identity;
use crate::runtime::transcript::TurnEnd;
use crate::store::markers::{Turn, TurnState};
use crate::store::queue::Place;
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use crate::world::{HostError, TerminalTimes, TranscriptTimes, World};
use std::time::Duration;

/// What was seen of a session's activity.
#[derive(Debug, Clone, Default)]
pub struct Activity {
    /// When the session was woken: it can't have been quiet for longer than since then.
    pub woke_at: EpochMs,
    /// The transcript's times.
    pub transcript: TranscriptTimes,
    /// The last turn event of this very launch.
    pub turn: Option<Turn>,
    /// The terminal's times, where they were asked for.
    pub terminal: Option<TerminalTimes>,
    /// A message was handed to the session, and whether the session took it is not known yet.
    pub in_flight: bool,
}

/// Whether the session works, or since when it has been quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// A turn is running: the session is not idle, even if all other signals are silent.
    Working,
    /// Nothing has moved since then.
    Since(EpochMs),
}

impl Quiet {
    /// How long the session has been quiet; zero while it works.
    pub fn age(self, now: EpochMs) -> Duration {
        match self {
            Quiet::Working => Duration::ZERO,
            Quiet::Since(at) => now.since(at),
        }
    }
}

impl Activity {
    /// The activity of the session of `record`, from files alone.
    pub fn from_files(world: &World<'_>, peer: &Peer, record: &SessionRecord) -> Activity {
        let turn = turn_of(world, &record.identity, record.launch.as_deref());
        let running = turn.as_ref().filter(|turn| turn.state == TurnState::Busy);
        Activity {
            woke_at: record.woke_at,
            transcript: world.host.transcript_times(peer, running),
            turn,
            terminal: None,
            in_flight: false,
        }
    }

    /// [`Activity::from_files`] for a caller that may put the session to sleep: a message in flight keeps it awake
    /// until a drain has settled it. A worker's task is in flight all along and proves nothing. `clock_set_at`:
    /// [`World::clock_set_at`].
    pub(crate) fn for_reaping(
        world: &World<'_>,
        peer: &Peer,
        record: &SessionRecord,
        clock_set_at: Option<EpochMs>,
    ) -> Activity {
        let in_flight = !peer.is_ephemeral()
            && world.queue(&peer.identity).list(Place::Inflight).map_or(true, |items| !items.is_empty());
        let activity = Activity::from_files(world, peer, record);
        // Time by which the clock was set forward does not count as time in which the session was quiet.
        let woke_at = activity.woke_at.max(clock_set_at.unwrap_or_default());
        Activity { in_flight, woke_at, ..activity }
    }

    /// Adds the terminal's times. An error says why tmux gave no answer: then nothing may be concluded.
    pub(crate) fn ask_terminal(&mut self, world: &World<'_>, identity: &Identity) -> Result<(), HostError> {
        self.terminal = Some(world.host.terminal_times(identity)?);
        Ok(())
    }

    /// Whether the session works, or since when it has been quiet.
    pub fn quiet(&self) -> Quiet {
        if self.in_flight {
            return Quiet::Working;
        }
        let mut latest = self.woke_at;
        let mut count = |at: Option<EpochMs>| latest = latest.max(at.unwrap_or_default());
        count(self.transcript.last);
        let terminal = self.terminal.unwrap_or_default();
        count(terminal.keystroke);
        match &self.turn {
            // No hook reports an interrupted turn; the transcript shows that the turn is over.
            Some(turn)
                if turn.state == TurnState::Busy && self.transcript.turn_end.is_none_or(|end| !ends(&end, turn)) =>
            {
                return Quiet::Working;
            }
            // The runtime reports its turns: changes in the window don't prove that a turn runs.
            Some(turn) => count(Some(turn.at)),
            None => count(terminal.window),
        }
        Quiet::Since(latest)
    }
}

/// Whether the transcript record `end` ended this very turn. Its position in the file decides, since no clock that is
/// set back can change the position; where the position is not known, its time decides.
fn ends(end: &TurnEnd, turn: &Turn) -> bool {
    match (turn.written, end.position) {
        (Some(written), Some(position)) if position < written => false,
        // An agent may write the end of its last turn after it has taken the next prompt.
        (Some(_), Some(_)) if end.follows_prompt => true,
        _ => end.at >= turn.at,
    }
}

/// The last turn event of this launch; an event of an earlier session does not count. Without `launch` the last event
/// of any.
pub(crate) fn turn_of(world: &World<'_>, identity: &Identity, launch: Option<&str>) -> Option<Turn> {
    world.markers(identity).turn().filter(|turn| launch.is_none() || turn.launch.as_deref() == launch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_as_a_table() {
        let turn = |state, at| {
            Some(Turn {
                state,
                failed: false,
                at: EpochMs(at),
                id: None,
                taken: vec![],
                queued: vec![],
                launch: None,
                session: None,
                transcript: None,
                written: None,
            })
        };
        let begun = |at, written| turn(TurnState::Busy, at).map(|turn| Turn { written: Some(written), ..turn });
        let times = |last, turn_end: Option<u64>| TranscriptTimes {
            last: Some(EpochMs(last)),
            turn_end: turn_end.map(|at| TurnEnd { at: EpochMs(at), position: None, follows_prompt: false }),
        };
        let ended = |at, position, follows_prompt| TranscriptTimes {
            last: Some(EpochMs(150)),
            turn_end: Some(TurnEnd { at: EpochMs(at), position: Some(position), follows_prompt }),
        };
        let terminal = |window, keystroke: Option<u64>| {
            Some(TerminalTimes { window: Some(EpochMs(window)), keystroke: keystroke.map(EpochMs) })
        };
        let base = || Activity { woke_at: EpochMs(100), ..Activity::default() };
        #[rustfmt::skip]
        let rows: Vec<(&str, Activity, Quiet)> = vec![
            ("nothing known: since the wake", base(), Quiet::Since(EpochMs(100))),
            ("a transcript older than the wake", Activity { transcript: times(50, None), ..base() }, Quiet::Since(EpochMs(100))),
            ("both signals: the later one", Activity { transcript: times(150, None), terminal: terminal(170, None), ..base() }, Quiet::Since(EpochMs(170))),
            ("a running turn is never idle", Activity { transcript: times(150, None), turn: turn(TurnState::Busy, 120), terminal: terminal(100, None), ..base() }, Quiet::Working),
            ("a turn ended: repaints do not count", Activity { transcript: times(150, None), turn: turn(TurnState::Idle, 160), terminal: terminal(999, None), ..base() }, Quiet::Since(EpochMs(160))),
            ("a person's keystroke counts always", Activity { turn: turn(TurnState::Idle, 160), terminal: terminal(999, Some(500)), ..base() }, Quiet::Since(EpochMs(500))),
            ("an interrupted turn is over", Activity { transcript: times(150, Some(150)), turn: turn(TurnState::Busy, 120), ..base() }, Quiet::Since(EpochMs(150))),
            ("a message in flight", Activity { in_flight: true, ..base() }, Quiet::Working),
            ("an earlier turn's end ends nothing", Activity { transcript: times(150, Some(110)), turn: turn(TurnState::Busy, 120), ..base() }, Quiet::Working),
            ("an end before the prompt, the clock set back between", Activity { transcript: ended(130, 7, false), turn: begun(120, 8), ..base() }, Quiet::Working),
            ("an end behind the prompt, the clock set back between", Activity { transcript: ended(110, 9, true), turn: begun(120, 8), ..base() }, Quiet::Since(EpochMs(150))),
            ("the last turn's end, written late", Activity { transcript: ended(119, 8, false), turn: begun(120, 8), ..base() }, Quiet::Working),
            ("an end after a prompt that is no message", Activity { transcript: ended(140, 8, false), turn: begun(120, 8), ..base() }, Quiet::Since(EpochMs(150))),
            ("an end in another file, by its time", Activity { transcript: times(150, Some(150)), turn: begun(120, 8), ..base() }, Quiet::Since(EpochMs(150))),
        ];
        for (name, activity, expected) in rows {
            assert_eq!(activity.quiet(), expected, "{name}");
        }
    }
}
