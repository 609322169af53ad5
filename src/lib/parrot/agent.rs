//! Turns: a message starts one or waits for its end; a turn ends by itself or is interrupted.
//!
//! The order of a turn: record, transcript `user`, hook `prompt`, (the turn), transcript `assistant`, the reply to a
//! peer, transcript `turn_end`, hook `stop`. Busy is everything from the submit to the return of the stop hook.

use super::faults::{Answers, Crash, Faults, Hang};
use super::history::Conversation;
use super::hooks::{Hooks, ParrotHook, Ticket};
use super::record::{Record, Taken};
use super::reply::{self, Letter};
use super::terminal::Waker;
use super::transcript::Transcript;
use crate::base::clock::{Clock, SystemClock};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How long it must be idle to crash there.
const IDLE_CRASH: Duration = Duration::from_millis(300);

#[derive(Debug)]
enum Work {
    Message(String),
    Compact,
}

#[derive(Debug)]
enum ParrotTurn {
    Idle {
        since: Instant,
    },
    /// The prompt hook has not returned.
    Prompting {
        ticket: Ticket,
        work: Work,
    },
    /// At work; `until` is none where it hangs.
    Running {
        until: Option<Instant>,
        crash: Option<Instant>,
        work: Work,
    },
    /// The reply is on its way.
    Replying {
        to: Letter,
        number: u64,
        cancel: Arc<AtomicBool>,
    },
    /// The stop hook has not returned.
    Stopping {
        ticket: Ticket,
    },
}

/// Whether the session goes on after a submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Stay,
    Leave,
}

/// The number of a turn, and how its reply went.
type Replied = (u64, Result<(), String>);

/// A session from its first composer on.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) history: Conversation,
    transcript: Transcript,
    hooks: Hooks,
    record: Option<Record>,
    clock: SystemClock,
    turn: ParrotTurn,
    queue: VecDeque<Work>,
    /// Turns of messages begun in this process.
    turns: u64,
    length: Duration,
    crash: Option<Crash>,
    hang: Option<Hang>,
    reply: Answers,
    replies: (Sender<Replied>, Receiver<Replied>),
    waker: Waker,
    start: Option<Ticket>,
    /// When the start hook had returned.
    started: Option<Instant>,
    troubles: Vec<String>,
}

impl Agent {
    pub(crate) fn new(
        faults: &Faults,
        transcript: Transcript,
        record: Option<Record>,
        hooks: Hooks,
        waker: Waker,
        now: Instant,
    ) -> Agent {
        Agent {
            history: Conversation::default(),
            transcript,
            hooks,
            record,
            clock: SystemClock::default(),
            turn: ParrotTurn::Idle { since: now },
            queue: VecDeque::new(),
            turns: 0,
            length: faults.turn,
            crash: faults.crash,
            hang: faults.hang,
            reply: faults.reply,
            replies: channel(),
            waker,
            start: None,
            started: None,
            troubles: Vec::new(),
        }
    }

    pub(crate) fn busy(&self) -> bool {
        !matches!(self.turn, ParrotTurn::Idle { .. })
    }

    /// The composer is there for the first time.
    pub(crate) fn begin(&mut self, source: &str, now: Instant) {
        self.turn = ParrotTurn::Idle { since: now };
        self.start = self.call(ParrotHook::Start, Some(("source", source)));
        if self.start.is_none() {
            self.started = Some(now);
        }
    }

    /// The person chose to go on from a summary.
    pub(crate) fn summarise(&mut self) {
        self.write("summarised", None);
        self.history.assistant("Resumed from summary");
    }

    /// Takes what was in the composer.
    pub(crate) fn submit(&mut self, bytes: &[u8], now: Instant) -> After {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (idle, word) = (!self.busy(), text.trim());
        if let Some(record) = &mut self.record {
            let taken = match bytes.first() {
                Some(b'/') => Taken::Command,
                Some(b'!') => Taken::Shell,
                _ => Taken::Message,
            };
            if let Err(error) = record.append(self.clock.now(), self.transcript.id(), bytes, taken, idle) {
                self.trouble(format!("PARROT_RECORD: {error}"));
            }
        }
        let work = match bytes.first() {
            Some(b'!') => {
                self.history.user(&text);
                self.history.assistant("(would have run a shell command)");
                return After::Stay;
            }
            Some(b'/') => match word.split_whitespace().next().unwrap_or_default() {
                "/quit" | "/exit" => return After::Leave,
                "/compact" => Work::Compact,
                other => {
                    self.history.user(&text);
                    self.history.assistant(&format!("Unknown command: {other}"));
                    return After::Stay;
                }
            },
            _ => Work::Message(text.clone()),
        };
        if idle {
            self.history.user(&text);
            self.start_turn(work, now);
        } else {
            if let Work::Message(text) = &work {
                // At once: whoever looks for the message must find it before its turn comes.
                self.write("queued", Some(text));
            }
            self.history.queued(&text);
            self.queue.push_back(work);
        }
        After::Stay
    }

    fn start_turn(&mut self, work: Work, now: Instant) {
        match &work {
            Work::Compact if self.transcript.messages() == 0 => {
                self.history.assistant("Nothing to compact");
                self.next(now);
            }
            Work::Compact => self.run(work, now),
            Work::Message(text) => {
                let text = text.clone();
                self.turns += 1;
                self.write("user", Some(&text));
                match self.call(ParrotHook::Prompt, Some(("prompt", &text))) {
                    Some(ticket) => self.turn = ParrotTurn::Prompting { ticket, work },
                    None => self.run(work, now),
                }
            }
        }
    }

    fn run(&mut self, work: Work, now: Instant) {
        let first = self.turns == 1 && matches!(work, Work::Message(_));
        let until = (!(first && self.hang == Some(Hang::ParrotTurn))).then_some(now + self.length);
        let crash = (first && self.crash == Some(Crash::ParrotTurn)).then_some(now + self.length / 2);
        self.turn = ParrotTurn::Running { until, crash, work };
    }

    /// When [`Agent::tick`] has something to do by the clock.
    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.turn {
            ParrotTurn::Running { until, crash, .. } => crash.or(*until),
            ParrotTurn::Idle { .. } => self.idle_crash(),
            _ => None,
        }
    }

    fn idle_crash(&self) -> Option<Instant> {
        match (&self.turn, self.started) {
            (ParrotTurn::Idle { since }, Some(started)) if self.crash == Some(Crash::Idle) => {
                Some(started.max(*since) + IDLE_CRASH)
            }
            _ => None,
        }
    }

    /// Goes on with what has become possible: hooks and replies that returned, time that is over. Answers whether
    /// anything happened.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for done in self.hooks.done() {
            moved = true;
            if let Some(trouble) = done.trouble {
                self.trouble(trouble);
            }
            if self.start == Some(done.ticket) {
                self.started = Some(now);
            }
            match std::mem::replace(&mut self.turn, ParrotTurn::Idle { since: now }) {
                ParrotTurn::Prompting { ticket, work } if ticket == done.ticket => self.run(work, now),
                ParrotTurn::Stopping { ticket } if ticket == done.ticket => self.next(now),
                other => self.turn = other,
            }
        }
        while let Ok((number, result)) = self.replies.1.try_recv() {
            if let ParrotTurn::Replying { to, number: awaited, .. } = &self.turn
                && *awaited == number
            {
                let row = match result {
                    Ok(()) => format!("replied to {}", to.from),
                    Err(why) => format!("reply failed: {why}"),
                };
                self.history.assistant(&row);
                self.stop(now);
                moved = true;
            }
        }
        if self.due().is_some_and(|due| now >= due) {
            moved = true;
            match std::mem::replace(&mut self.turn, ParrotTurn::Idle { since: now }) {
                ParrotTurn::Running { crash: None, work, .. } => self.answer(work, now),
                // The only other things that are due are crashes.
                _ => crash(),
            }
        }
        moved
    }

    /// The work of the turn is done.
    fn answer(&mut self, work: Work, now: Instant) {
        let Work::Message(text) = work else {
            self.write("compacted", None);
            self.history.assistant("Context compacted");
            return self.next(now);
        };
        let letters = reply::letters(&text);
        let said = letters.first().map_or(text.as_str(), |letter| &letter.body);
        self.write("assistant", Some(said));
        self.history.assistant(said);
        match reply::to_answer(letters).filter(|letter| self.reply.include(letter.is_from_a_person)) {
            Some(to) => {
                let (cancel, number) = (Arc::new(AtomicBool::new(false)), self.turns);
                let (tell, waker) = (self.replies.0.clone(), self.waker.clone());
                let (letter, flag) = (to.clone(), cancel.clone());
                std::thread::spawn(move || {
                    // Nobody listens any more when the session has ended.
                    let _ = tell.send((number, reply::send(&letter, &flag)));
                    waker.wake();
                });
                self.turn = ParrotTurn::Replying { to, number, cancel };
            }
            None => self.stop(now),
        }
    }

    fn stop(&mut self, now: Instant) {
        self.write("turn_end", None);
        match self.call(ParrotHook::Stop, None) {
            Some(ticket) => self.turn = ParrotTurn::Stopping { ticket },
            None => self.next(now),
        }
    }

    fn next(&mut self, now: Instant) {
        self.turn = ParrotTurn::Idle { since: now };
        if let Some(work) = self.queue.pop_front() {
            self.history.dequeue();
            self.start_turn(work, now);
        }
    }

    /// Ends a running turn without a stop hook, as Claude does. A turn that is already over is left alone.
    pub(crate) fn interrupt(&mut self, now: Instant) {
        match &self.turn {
            ParrotTurn::Idle { .. } | ParrotTurn::Stopping { .. } => return,
            ParrotTurn::Replying { cancel, .. } => cancel.store(true, Ordering::Relaxed),
            ParrotTurn::Prompting { .. } | ParrotTurn::Running { .. } => {}
        }
        self.write("interrupted", None);
        self.history.plain("  ⎿ Interrupted");
        self.next(now);
    }

    /// Tells the hook of the end and waits for it.
    pub(crate) fn end(mut self, reason: &str) {
        self.call(ParrotHook::End, Some(("reason", reason)));
        self.hooks.finish();
    }

    fn call(&mut self, hook: ParrotHook, own: Option<(&str, &str)>) -> Option<Ticket> {
        let path = self.transcript.path().to_string_lossy().into_owned();
        let common = [("session_id", self.transcript.id()), ("transcript_path", &path), ("cwd", self.transcript.cwd())];
        self.hooks.call(hook, &common, own)
    }

    fn write(&mut self, kind: &str, text: Option<&str>) {
        if let Err(error) = self.transcript.append(kind, text) {
            let path = self.transcript.path().display().to_string();
            self.trouble(format!("cannot write {path}: {error}"));
        }
    }

    /// Shows what goes wrong, each thing once.
    fn trouble(&mut self, what: String) {
        // A hook's trouble is the same for all its events.
        let known = what.rsplit_once(": ").map_or(what.as_str(), |(_, why)| why).to_owned();
        if !self.troubles.contains(&known) {
            self.history.plain(&format!("  ⎿ Warning: {what}"));
            self.troubles.push(known);
        }
    }
}

/// Dies as a defective program does, but without leaving a core file.
pub(crate) fn crash() -> ! {
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
    std::process::abort()
}
