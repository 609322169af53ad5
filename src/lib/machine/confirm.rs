//! Waiting for evidence that a submitted message landed.
//!
//! ```text
//! Unshown   typed; the composer has not shown it yet       seen with it    → Standing
//! Standing  the composer has it: the key is pressed        seen without it → Cleared
//! Sent      the key went along with the paste              seen with it → Standing, without it → Cleared
//! Cleared   the composer was seen without it               seen with it    → Standing
//! ```
//!
//! A message that is typed while a turn runs may go into the program's own queue. Then it lands only when a turn takes
//! it; this module does not wait for that.
//!
//! Evidence ends the wait in any state: the message has landed. The end of the session or of the time ends the wait
//! too: where a last search finds no evidence, the outcome is unknown.

use super::ready::{self, LookTrouble, RESUBMIT};
use super::real::RealHost;
use super::way::patience;
use crate::base::clock::{Deadline, wait_for};
use crate::base::evidence::Evidence;
use crate::host::tmux::{Key, TmuxError};
use crate::runtime::manifest::ScreenRules;
use crate::runtime::screen::{Draft, Screen, Sight};
use crate::runtime::transcript::{Baseline, Transcripts};
use crate::store::markers::{Markers, Turn};
use crate::world::{Delivery, Landing};
use std::time::Duration;

/// Pause between two searches for evidence.
const EVIDENCE_LOOK: Duration = Duration::from_micros(250);
/// Pause between two readings of the composer.
const SHOWN_LOOK: Duration = Duration::from_millis(20);

/// The circumstances of a submit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Submit {
    /// A turn is running.
    pub(super) busy: bool,
    /// A person's draft was moved out of the composer.
    pub(super) forced: bool,
    /// The key was pressed once already.
    pub(super) pressed: bool,
    /// The program has the message in its own queue, and was told to take it at once.
    pub(super) hurried: bool,
}

/// The state of a typed message, as far as it was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Submitted {
    /// Typed, and the composer has not shown it yet. Used only where the composer is the only evidence.
    Unshown,
    /// The composer contains the message: the submit key has to be pressed, perhaps again.
    Standing,
    /// The submit key was pressed with the paste, and the composer was not read since.
    Sent,
    /// The composer was read and does not contain the message.
    Cleared,
}

/// What was observed in one round.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Noticed {
    /// A hook or a transcript names the message.
    Evidence(Evidence),
    /// The program has the message in its own queue, behind the running turn.
    Queued,
    /// The composer was read, with the message in it or without.
    Composer { holds: bool },
    /// Nothing: tmux did not answer properly.
    Nothing,
    /// The session has ended, for this reason.
    Ended(String),
    /// The time is over.
    TimeUp,
}

/// What follows from an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    Wait(Submitted),
    Landed(Evidence),
    Queued,
    /// Search for evidence once more; without any, the outcome is unknown for this reason.
    LastLook(String),
}

/// The transitions. `shows_only`: the composer is the only evidence.
fn next(state: Submitted, noticed: Noticed, shows_only: bool) -> Next {
    match (state, noticed) {
        (_, Noticed::Evidence(by)) => Next::Landed(by),
        (_, Noticed::Queued) => Next::Queued,
        (_, Noticed::Ended(why)) => Next::LastLook(why),
        (_, Noticed::Nothing) => Next::Wait(state),
        (_, Noticed::Composer { holds: true }) => Next::Wait(Submitted::Standing),
        (Submitted::Unshown, Noticed::Composer { holds: false }) => Next::Wait(Submitted::Unshown),
        // Where a runtime has no better evidence, a composer that contained the message and is empty now counts as
        // evidence.
        (_, Noticed::Composer { holds: false }) if shows_only => Next::Landed(Evidence::Composer),
        (_, Noticed::Composer { holds: false }) => Next::Wait(Submitted::Cleared),
        (Submitted::Unshown, Noticed::TimeUp) => Next::LastLook("the composer never showed the message".into()),
        (Submitted::Standing, Noticed::TimeUp) => Next::LastLook("the composer still holds the message".into()),
        (Submitted::Sent | Submitted::Cleared, Noticed::TimeUp) => {
            Next::LastLook("the composer cleared, but nothing shows that the message was taken".into())
        }
    }
}

/// Presses the submit key and waits for evidence, pressing again while the composer still contains the message.
pub(super) fn confirm(
    host: &RealHost<'_>,
    delivery: &Delivery<'_>,
    rules: &ScreenRules,
    baseline: &Baseline,
    submit: Submit,
) -> Landing {
    let clock = host.clock;
    let Submit { busy, forced, pressed, hurried } = submit;
    let shows_only = shows_only(delivery);
    let pressing = host.settings.submit_timeout;
    let mut watcher = Watcher {
        host,
        delivery,
        rules,
        transcripts: host.transcripts(delivery.peer),
        baseline,
        keep_pressing: Deadline::after(clock, pressing),
        busy,
        in_turn: busy && !delivery.boot,
        hurried,
    };
    let deadline = Deadline::after(clock, patience(host, delivery));
    let mut state = match (shows_only, pressed) {
        (true, _) => Submitted::Unshown,
        (false, false) => Submitted::Standing,
        (false, true) => Submitted::Sent,
    };
    loop {
        let end = if state == Submitted::Unshown { watcher.keep_pressing } else { deadline };
        let noticed = if end.passed(clock) { Noticed::TimeUp } else { watcher.notice(state) };
        match next(state, noticed, shows_only) {
            Next::Wait(after) => state = after,
            Next::Landed(by) => return Landing::Landed { by, forced },
            Next::Queued => return Landing::Queued { forced },
            Next::LastLook(why) => {
                return match watcher.evidence() {
                    Some(by) => Landing::Landed { by, forced },
                    None if hurried => Landing::Queued { forced },
                    None => Landing::Unknown(why),
                };
            }
        }
    }
}

/// The search for evidence that a turn took a message that was not typed: a hook, the transcript.
pub(super) struct Evident<'a> {
    delivery: &'a Delivery<'a>,
    markers: Markers<'a>,
    transcripts: Option<Transcripts<'a>>,
    baseline: Baseline,
}

impl<'a> Evident<'a> {
    /// The search from now on. A transcript that has the message already is no evidence here: a message that may have
    /// been given before is looked up first.
    pub(super) fn of(host: &'a RealHost<'a>, delivery: &'a Delivery<'a>) -> Evident<'a> {
        let transcripts = host.transcripts(delivery.peer);
        let baseline = transcripts.as_ref().map(Transcripts::baseline).unwrap_or_default();
        Evident { delivery, markers: Markers::of(host.paths, &delivery.peer.identity), transcripts, baseline }
    }

    /// The evidence, if there is some by now.
    pub(super) fn now(&self) -> Option<Evidence> {
        let turn = self.markers.turn_of(self.delivery.launch);
        if turn.is_some_and(|turn| turn.taken.contains(&self.delivery.id)) {
            return Some(Evidence::Hook);
        }
        let written = self.transcripts.as_ref()?.carries_since(&self.baseline, self.delivery.id);
        written.then_some(Evidence::Transcript)
    }
}

/// The key that submits, depending on whether a turn runs.
pub(super) fn submit_key(delivery: &Delivery<'_>, busy: bool) -> Key {
    let keys = &delivery.peer.manifest.keys;
    // A session that looks busy before its first message is still starting: no turn runs behind which the message could
    // be queued.
    if busy && !delivery.urgent && !delivery.boot { Key::named(&keys.midturn.key) } else { Key::named(&keys.submit) }
}

/// Whether the composer is the only evidence that the runtime has.
pub(super) fn shows_only(delivery: &Delivery<'_>) -> bool {
    delivery.peer.manifest.evidence == [Evidence::Composer]
}

/// Whether the composer still contains this message.
fn holds(screen: &Screen, rules: &ScreenRules, delivery: &Delivery<'_>) -> bool {
    match screen.sight(rules) {
        Sight::Input { draft: Draft::Empty, .. } => false,
        Sight::Input { draft: Draft::Text(text), .. } => {
            text.contains("<iap ") || text.contains(&delivery.id.to_string())
        }
        Sight::Input { draft: Draft::Paste(_), .. } => true,
        _ => false,
    }
}

/// Presses the key for one message, and looks for evidence of it.
struct Watcher<'a> {
    host: &'a RealHost<'a>,
    delivery: &'a Delivery<'a>,
    rules: &'a ScreenRules,
    transcripts: Option<Transcripts<'a>>,
    baseline: &'a Baseline,
    /// Until this time the submit key is pressed again.
    keep_pressing: Deadline,
    /// Whether a turn is running, which decides on the submit key.
    busy: bool,
    /// Whether a turn was running when the message was typed.
    in_turn: bool,
    /// See [`Submit::hurried`].
    hurried: bool,
}

impl Watcher<'_> {
    /// One round: presses the key where the composer contains the message, waits for evidence, then reads the screen.
    fn notice(&mut self, state: Submitted) -> Noticed {
        let clock = self.host.clock;
        if state == Submitted::Unshown {
            let seen = self.look();
            if seen != (Noticed::Composer { holds: true }) {
                clock.sleep(SHOWN_LOOK);
            }
            return seen;
        }
        if state == Submitted::Standing && !self.keep_pressing.passed(clock) {
            // The turn may have ended since: the key that queues a message in mid-turn may not submit one after the
            // turn.
            let key = submit_key(self.delivery, self.busy);
            let server = self.host.server(&self.delivery.peer.identity);
            let pressed = server.and_then(|server| server.keys(std::slice::from_ref(&key)));
            if let Err(error @ (TmuxError::NoServer | TmuxError::NoSession | TmuxError::PaneDead)) = pressed {
                return Noticed::Ended(format!("the session ended while it took the message: {error}"));
            }
        }
        let until = Deadline::after(clock, RESUBMIT);
        let told = || {
            let announced = || self.is_announced().then_some(Noticed::Queued);
            self.evidence().map(Noticed::Evidence).or_else(announced)
        };
        wait_for(clock, until, EVIDENCE_LOOK, told).unwrap_or_else(|| self.look())
    }

    fn look(&mut self) -> Noticed {
        match ready::look(self.host, self.delivery.peer) {
            Ok(screen) => {
                self.busy = matches!(screen.sight(self.rules), Sight::Input { busy: true, .. });
                let holds = holds(&screen, self.rules, self.delivery);
                let waits = !holds && !shows_only(self.delivery) && !self.hurried && (self.busy || self.in_turn);
                if waits && screen.shows_any(&self.delivery.peer.manifest.keys.queued) {
                    return Noticed::Queued;
                }
                Noticed::Composer { holds }
            }
            Err(LookTrouble::Passing) => Noticed::Nothing,
            Err(LookTrouble::Ended { what, .. }) => Noticed::Ended(what.to_string()),
        }
    }

    fn evidence(&self) -> Option<Evidence> {
        self.delivery.peer.manifest.evidence.iter().copied().find(|kind| match kind {
            Evidence::Hook => self.hook_saw_it(),
            Evidence::Transcript => self
                .transcripts
                .as_ref()
                .is_some_and(|transcripts| transcripts.carries_since(self.baseline, self.delivery.id)),
            Evidence::Composer
            | Evidence::Mailbox
            | Evidence::Asked
            | Evidence::Api
            | Evidence::Receipt
            | Evidence::AppServer
            | Evidence::Http
            | Evidence::File => false,
        })
    }

    /// Whether the prompt hook named the message, where that proves that a turn took it.
    fn hook_saw_it(&self) -> bool {
        !self.announces() && self.turn().is_some_and(|turn| turn.taken.contains(&self.delivery.id))
    }

    /// Whether the prompt hook named the message, where that proves only that the program queued it.
    fn is_announced(&self) -> bool {
        let id = &self.delivery.id;
        let named = |turn: Turn| turn.queued.contains(id) || turn.taken.contains(id);
        !self.hurried && self.announces() && self.turn().is_some_and(named)
    }

    /// Whether the prompt hook is called when the program queues the message.
    fn announces(&self) -> bool {
        self.in_turn && self.delivery.peer.manifest.keys.midturn.announces
    }

    fn turn(&self) -> Option<Turn> {
        Markers::of(self.host.paths, &self.delivery.peer.identity).turn_of(self.delivery.launch)
    }
}

#[cfg(test)]
mod tests {
    use super::Submitted::{Cleared, Sent, Standing, Unshown};
    use super::*;

    const WITH: Noticed = Noticed::Composer { holds: true };
    const WITHOUT: Noticed = Noticed::Composer { holds: false };
    const ALL: [Submitted; 4] = [Unshown, Standing, Sent, Cleared];

    #[test]
    fn what_a_look_at_the_composer_changes_as_a_table() {
        for (state, noticed, after) in [
            (Unshown, WITH, Standing),
            (Unshown, WITHOUT, Unshown),
            (Standing, WITH, Standing),
            (Standing, WITHOUT, Cleared),
            (Sent, WITH, Standing),
            (Sent, WITHOUT, Cleared),
            (Cleared, WITH, Standing),
            (Cleared, WITHOUT, Cleared),
        ] {
            assert_eq!(next(state, noticed.clone(), false), Next::Wait(after), "{state:?}, {noticed:?}");
        }
    }

    #[test]
    fn a_composer_that_held_it_and_cleared_is_evidence_where_nothing_else_tells() {
        assert_eq!(next(Unshown, WITHOUT, true), Next::Wait(Unshown));
        assert_eq!(next(Unshown, WITH, true), Next::Wait(Standing));
        assert_eq!(next(Standing, WITHOUT, true), Next::Landed(Evidence::Composer));
    }

    #[test]
    fn what_ends_the_wait_in_any_state() {
        for state in ALL {
            let evidence = next(state, Noticed::Evidence(Evidence::Hook), false);
            assert_eq!(evidence, Next::Landed(Evidence::Hook), "{state:?}");
            assert_eq!(next(state, Noticed::Queued, true), Next::Queued, "{state:?}");
            assert_eq!(next(state, Noticed::Ended("gone".into()), true), Next::LastLook("gone".into()), "{state:?}");
            assert_eq!(next(state, Noticed::Nothing, true), Next::Wait(state), "{state:?}");
        }
        for (state, word) in
            [(Unshown, "never showed"), (Standing, "still holds"), (Sent, "cleared"), (Cleared, "cleared")]
        {
            let Next::LastLook(why) = next(state, Noticed::TimeUp, false) else { panic!("{state:?}") };
            assert!(why.contains(word), "{state:?}: {why}");
        }
    }
}
