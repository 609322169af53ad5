//! What the logs record about sessions: when and how each began and ended, and what each peer waited for. The lines are
//! taken one by one, in the order of time; no I/O.

use crate::base::AttentionState;
use crate::base::clock::EpochMs;
use crate::base::words::words;
use serde::Serialize;
use std::collections::BTreeMap;

words! {
    /// How a session began.
    pub enum Began {
        /// Without an earlier conversation.
        Fresh = "fresh",
        /// With its last conversation.
        Resumed = "resumed",
        /// For one task of a worker.
        Worker = "worker",
        /// The logs don't record it.
        Unseen = "unseen",
    }
}

words! {
    /// How a session ended.
    pub enum Finish {
        /// It has not ended.
        Runs = "runs",
        /// It was idle and put to sleep.
        Slept = "slept",
        /// It was that of a worker whose task was done.
        Done = "done",
        /// An operator stopped or ended it.
        Stopped = "stopped",
        /// It was replaced by a fresh one.
        Renewed = "renewed",
        /// It died.
        Died = "died",
        /// The logs don't record it.
        Unseen = "unseen",
    }
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionBar {
    /// When it began.
    pub from: EpochMs,
    /// When it ended, or the last time at which it is known to have run.
    pub to: EpochMs,
    /// How it began.
    pub began: Began,
    /// Why it was woken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How it ended.
    pub finish: Finish,
}

/// A time in which a peer waited for a person, or for the end of a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitSpan {
    /// When the wait began.
    pub from: EpochMs,
    /// When it ended.
    pub to: EpochMs,
    /// What the peer waited for.
    pub state: AttentionState,
}

/// The death of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeathMark {
    /// When it was recorded.
    pub at: EpochMs,
    /// Its cause.
    pub cause: String,
}

/// The program whose line tells of a death.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Teller {
    /// The tick, which found the session gone.
    Tick,
    /// A program that saw the end, and its cause.
    Witness,
}

/// What the logs record about one identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Story {
    /// Its sessions, the oldest first.
    pub sessions: Vec<SessionBar>,
    /// Its waits.
    pub waits: Vec<WaitSpan>,
    /// Its deaths.
    pub deaths: Vec<DeathMark>,
    #[serde(skip)]
    wake: Option<(Began, Option<String>)>,
    /// The last death is only known by a tick that found the session gone.
    #[serde(skip)]
    unexplained: bool,
    #[serde(skip)]
    open: bool,
    #[serde(skip)]
    waiting: Option<(EpochMs, AttentionState)>,
}

/// Takes over one line of a log: `pairs` are its keys and values.
pub fn tell(stories: &mut BTreeMap<String, Story>, at: EpochMs, pairs: &[(String, String)]) {
    let get = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let (Some(event), Some(identity)) = (get("ev"), get("identity")) else { return };
    let story = match stories.get_mut(identity) {
        Some(story) => story,
        None => stories.entry(identity.to_owned()).or_default(),
    };
    match event {
        "wake" => {
            let cause = get("cause");
            let began = match (get("mode"), cause) {
                (_, Some("ephemeral-policy")) => Began::Worker,
                (Some("fresh"), _) => Began::Fresh,
                (Some("resume"), _) => Began::Resumed,
                // A refused or failed wake starts no session.
                _ => return,
            };
            story.wake = Some((began, cause.map(str::to_owned)));
        }
        "launch" => story.begin(at),
        "run" if get("outcome").is_none() => story.begin(at),
        "stop" if get("session") != Some("none") => story.end(at, Finish::Stopped),
        "reap" => story.end(at, Finish::Stopped),
        "self-fresh" => story.end(at, Finish::Renewed),
        "supervise" => match get("action") {
            Some("reaped-idle") => story.end(at, Finish::Slept),
            Some("reaped-ephemeral") => story.end(at, Finish::Done),
            Some("reaped-gone") => story.die(at, get("reason").unwrap_or("gone"), Teller::Tick),
            Some("enrolled") => story.begin(at),
            _ => {}
        },
        "server-exit" => story.die(at, get("cause").unwrap_or("server-exit"), Teller::Witness),
        "session-exit" => {
            let cause = match (get("dead_signal"), get("dead_status")) {
                (Some(signal), _) if !signal.is_empty() => format!("signal {signal}"),
                (_, Some(status)) => format!("status {status}"),
                _ => "session-exit".to_owned(),
            };
            story.die(at, &cause, Teller::Witness);
        }
        "wake-failed" if story.open => story.die(at, get("reason").unwrap_or("it did not come up"), Teller::Witness),
        "attention" => {
            story.wait_over(at);
            story.waiting = get("state").and_then(AttentionState::named).map(|state| (at, state));
        }
        _ => {}
    }
}

/// The canary's record of a death and the tick's line about the same death are at most this far apart.
const SAME_DEATH_MS: u64 = 120_000;

impl Story {
    fn begin(&mut self, at: EpochMs) {
        // A session that an operator replaced leaves no line about its end.
        self.end(at, Finish::Renewed);
        let (began, cause) = self.wake.take().unwrap_or((Began::Unseen, None));
        self.sessions.push(SessionBar { from: at, to: at, began, cause, finish: Finish::Runs });
        self.open = true;
    }

    fn end(&mut self, at: EpochMs, finish: Finish) {
        self.wait_over(at);
        if let Some(last) = self.sessions.last_mut().filter(|_| self.open) {
            last.to = at.max(last.from);
            last.finish = finish;
        }
        self.open = false;
    }

    fn die(&mut self, at: EpochMs, cause: &str, by: Teller) {
        let was_open = self.open;
        self.end(at, Finish::Died);
        // Canary and tick may both record one death, in either order. It counts once, with the canary's cause.
        let ended = |bar: &SessionBar| at.0.abs_diff(bar.to.0) <= SAME_DEATH_MS && bar.finish == Finish::Died;
        let again = !was_open && self.sessions.last().is_some_and(ended);
        match self.deaths.last_mut().filter(|_| again) {
            Some(_) if !self.unexplained || by == Teller::Tick => return,
            Some(death) => cause.clone_into(&mut death.cause),
            None => self.deaths.push(DeathMark { at, cause: cause.to_owned() }),
        }
        self.unexplained = by == Teller::Tick;
    }

    fn wait_over(&mut self, at: EpochMs) {
        if let Some((from, state)) = self.waiting.take() {
            self.waits.push(WaitSpan { from, to: at.max(from), state });
        }
    }

    /// Ends the story at `now`: an open session still runs if `lives`, else its end was not recorded.
    pub fn close(&mut self, now: EpochMs, lives: bool) {
        // Not only with a session: a login or the end of a limit is waited for without one, too.
        self.wait_over(now);
        if let Some(last) = self.sessions.last_mut().filter(|_| self.open) {
            last.to = if lives { now.max(last.from) } else { last.from };
            last.finish = if lives { Finish::Runs } else { Finish::Unseen };
        }
        self.open = false;
    }

    /// Keeps only what ended at `since` or later.
    pub(crate) fn clip(&mut self, since: EpochMs) {
        self.sessions.retain(|bar| bar.to >= since);
        self.waits.retain(|wait| wait.to >= since);
        self.deaths.retain(|death| death.at >= since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::event_log::{parse, time_of};

    #[test]
    fn a_day_of_four_peers() {
        let log = "\
            ts=1970-01-01T00:00:01Z ev=wake identity=parrot-al mode=fresh cause=first-wake\n\
            ts=1970-01-01T00:00:02Z ev=launch identity=parrot-al server=1\n\
            ts=1970-01-01T00:00:03Z ev=attention identity=parrot-al state=approval evidence=hook\n\
            ts=1970-01-01T00:00:05Z ev=attention identity=parrot-al state=none was=approval\n\
            ts=1970-01-01T00:00:06Z ev=supervise identity=parrot-al action=reaped-idle\n\
            ts=1970-01-01T00:00:07Z ev=wake identity=parrot-al mode=resume cause=idle-reaped-resume\n\
            ts=1970-01-01T00:00:08Z ev=launch identity=parrot-al server=2\n\
            ts=1970-01-01T00:00:09Z ev=server-exit identity=parrot-al server_pid=2 cause=signaled\n\
            ts=1970-01-01T00:00:10Z ev=supervise identity=parrot-al action=reaped-gone reason=\"the tmux server is gone\"\n\
            ts=1970-01-01T00:00:11Z ev=wake identity=parrot-wk mode=fresh cause=ephemeral-policy\n\
            ts=1970-01-01T00:00:12Z ev=launch identity=parrot-wk server=3\n\
            ts=1970-01-01T00:00:13Z ev=supervise identity=parrot-wk action=reaped-ephemeral\n\
            ts=1970-01-01T00:00:14Z ev=wake identity=parrot-wk mode=refused cause=stopped\n\
            ts=1970-01-01T00:00:14Z ev=launch identity=parrot-cy server=6\n\
            ts=1970-01-01T00:00:15Z ev=supervise identity=parrot-cy action=reaped-gone reason=\"the tmux server is gone\"\n\
            ts=1970-01-01T00:00:15Z ev=server-exit identity=parrot-cy server_pid=6 cause=oom\n\
            ts=1970-01-01T00:00:15Z ev=supervise identity=parrot-cy action=reaped-gone reason=\"the tmux server is gone\"\n\
            ts=1970-01-01T00:00:15Z ev=launch identity=parrot-bo server=4\n\
            ts=1970-01-01T00:00:16Z ev=launch identity=parrot-bo server=5\n\
            no line\n";
        let mut stories = BTreeMap::new();
        for pairs in log.lines().map(|line| parse(line.trim())) {
            let Some(at) = time_of(&pairs) else { continue };
            tell(&mut stories, at, &pairs);
        }
        stories.values_mut().for_each(|story| story.close(EpochMs(20_000), true));
        let bars = |name: &str| -> Vec<(u64, u64, Began, Finish)> {
            let story: &Story = &stories[name];
            story.sessions.iter().map(|bar| (bar.from.0 / 1000, bar.to.0 / 1000, bar.began, bar.finish)).collect()
        };
        assert_eq!(bars("parrot-al"), [(2, 6, Began::Fresh, Finish::Slept), (8, 9, Began::Resumed, Finish::Died)]);
        assert_eq!(bars("parrot-wk"), [(12, 13, Began::Worker, Finish::Done)]);
        assert_eq!(
            bars("parrot-bo"),
            [(15, 16, Began::Unseen, Finish::Renewed), (16, 20, Began::Unseen, Finish::Runs)]
        );
        let al = &stories["parrot-al"];
        let wait = WaitSpan { from: EpochMs(3000), to: EpochMs(5000), state: AttentionState::Approval };
        assert_eq!(al.waits, [wait]);
        assert_eq!(al.deaths, [DeathMark { at: EpochMs(9000), cause: "signaled".into() }], "one death, told twice");
        let cy = &stories["parrot-cy"];
        assert_eq!(cy.deaths, [DeathMark { at: EpochMs(15_000), cause: "oom".into() }], "the tick was sooner");
    }
}
