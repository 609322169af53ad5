//! Turns: a message starts a turn, or waits until the running turn ends; a turn ends by itself or is interrupted.
//!
//! The order of a turn: `PARROT_RECORD`, record `user`, hook `prompt`, the work, record `assistant`, reply, record
//! `turn_end`, hook `stop`.

use super::ask::{Ask, Chosen, QUESTION, TOOL, Trouble};
use super::faults::{Answers, Crash, Faults, Hang, crash};
use super::history::Conversation;
use super::hooks::{Hooks, ParrotHook, Ticket};
use super::keys::TypedKey;
use super::record::{Record, Taken};
use super::reply::{self};
use super::terminal::Waker;
use super::transcript::Transcript;
pub(crate) use super::turn::After;
use super::turn::{ParrotTurn, Replied, Work};
use crate::base::clock::{Clock, EpochMs, SystemClock};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How long the parrot is idle before it crashes (`PARROT_CRASH=idle`).
const IDLE_CRASH: Duration = Duration::from_millis(300);

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
    /// The number of turns with a message that were begun in this process.
    turns: u64,
    length: Duration,
    crash: Option<Crash>,
    /// At which of the messages still to come the parrot aborts, counted from 1; 0: at none.
    left: u64,
    hang: Option<Hang>,
    trouble_ahead: Option<Trouble>,
    limit: Option<Duration>,
    /// When the limit that a turn ran into ends.
    limited_until: Option<EpochMs>,
    permits: (Sender<String>, Receiver<String>),
    reply: Answers,
    replies: (Sender<Replied>, Receiver<Replied>),
    waker: Waker,
    start: Option<Ticket>,
    /// When the start hook returned.
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
            left: faults.crash_at,
            hang: faults.hang,
            trouble_ahead: faults.attention,
            limit: faults.limit,
            limited_until: None,
            permits: channel(),
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

    /// The rows of the question on the screen, if one is shown.
    pub(crate) fn asks(&self) -> Option<Vec<String>> {
        match &self.turn {
            ParrotTurn::Asking { ask, shown: true, .. } => Some(ask.rows()),
            _ => None,
        }
    }

    /// Takes a key while the screen shows a question.
    pub(crate) fn key(&mut self, key: &TypedKey, now: Instant) {
        if *key == TypedKey::Escape {
            return self.interrupt(now);
        }
        let ParrotTurn::Asking { ask, shown: true, .. } = &mut self.turn else { return };
        if let Chosen::Row(row) = ask.key(key) {
            self.chosen(row, None, now);
        }
    }

    /// The composer is shown for the first time: calls the start hook.
    pub(crate) fn begin(&mut self, source: &str, now: Instant) {
        self.turn = ParrotTurn::Idle { since: now };
        self.start = self.call(ParrotHook::Start, &[("source", source)]);
        if self.start.is_none() {
            self.started = Some(now);
        }
    }

    /// The person chose to resume from a summary.
    pub(crate) fn summarise(&mut self) {
        self.write("summarised", None);
        self.history.assistant("Resumed from summary");
    }

    /// Takes the submitted content of the composer.
    pub(crate) fn submit(&mut self, bytes: &[u8], now: Instant) -> After {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (idle, word) = (!self.busy(), text.trim());
        let taken = Taken::of(bytes);
        if let Some(record) = &mut self.record
            && let Err(error) = record.append(self.clock.now(), self.transcript.id(), bytes, taken, idle)
        {
            self.trouble(format!("PARROT_RECORD: {error}"));
        }
        if taken == Taken::Message && self.left > 0 {
            self.left -= 1;
            if self.left == 0 {
                crash();
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
                // Now, not when its turn begins: a program that looks for the message in the transcript must find it.
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
                match self.call(ParrotHook::Prompt, &[("prompt", &text)]) {
                    Some(ticket) => self.turn = ParrotTurn::Prompting { ticket, work },
                    None => self.run(work, now),
                }
            }
        }
    }

    fn run(&mut self, work: Work, now: Instant) {
        let first = self.turns == 1 && matches!(work, Work::Message(_));
        let until = (!(first && self.hang == Some(Hang::Turn))).then_some(now + self.length);
        let crash = (first && self.crash == Some(Crash::Turn)).then_some(now + self.length / 2);
        self.turn = ParrotTurn::Running { until, crash, work };
    }

    /// When time alone gives [`Agent::tick`] something to do.
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

    /// Processes hooks and replies that returned, and times that have passed. Returns whether anything has happened.
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
        while let Ok(said) = self.permits.1.try_recv() {
            moved = true;
            self.permitted(&said, now);
        }
        if self.due().is_some_and(|due| now >= due) {
            moved = true;
            match std::mem::replace(&mut self.turn, ParrotTurn::Idle { since: now }) {
                ParrotTurn::Running { crash: None, work, .. } => self.answer(work, now),
                // All other states that are due are crashes.
                _ => crash(),
            }
        }
        moved
    }

    /// The turn runs into `trouble`: it asks a person, or it ends in an error.
    fn run_into(&mut self, trouble: Trouble, work: Work, now: Instant) {
        let until = self.limit.map(|limit| EpochMs(self.clock.now().0 + limit.as_millis() as u64));
        if trouble.ends_turn() {
            return self.fail(trouble, until, now);
        }
        let words = until.map(|at| format!(" more at {}", at.utc())).unwrap_or_default();
        let cancel = Arc::new(AtomicBool::new(false));
        let mut hooked = false;
        if trouble.asks_hook() {
            let payload = json!({
                "hook_event_name": "PermissionRequest",
                "session_id": self.transcript.id(),
                "tool_name": TOOL.0,
                "tool_input": {"command": TOOL.1},
            });
            hooked = self.hooks.permit(&payload, cancel.clone(), self.permits.0.clone(), self.waker.clone());
        }
        if trouble == Trouble::Question {
            self.call(ParrotHook::Notice, &[("notification_type", "elicitation_dialog"), ("message", QUESTION)]);
        }
        let shown = !(hooked && trouble == Trouble::HiddenApproval);
        self.turn = ParrotTurn::Asking { ask: Ask::new(trouble, words), shown, work, cancel };
    }

    /// The permission hook has returned.
    fn permitted(&mut self, said: &str, now: Instant) {
        let ParrotTurn::Asking { shown, .. } = &mut self.turn else { return };
        let said: Value = serde_json::from_str(said).unwrap_or_default();
        let decision = &said["hookSpecificOutput"]["decision"];
        let message = decision["message"].as_str().map(str::to_owned);
        match decision["behavior"].as_str() {
            Some("allow") => self.chosen("Yes", None, now),
            Some("deny") => self.chosen("No", message, now),
            // The hook did not decide: the screen asks.
            _ => *shown = true,
        }
    }

    fn chosen(&mut self, row: &'static str, message: Option<String>, now: Instant) {
        let ParrotTurn::Asking { ask, work, cancel, .. } =
            std::mem::replace(&mut self.turn, ParrotTurn::Idle { since: now })
        else {
            return;
        };
        cancel.store(true, Ordering::Relaxed);
        let why = message.map(|message| format!(": {message}")).unwrap_or_default();
        self.write("chosen", Some(&format!("{row}{why}")));
        self.history.plain(&format!("  ⎿ {row}{why}"));
        if row == "Stop and wait" {
            let until = self.limit.map(|limit| EpochMs(self.clock.now().0 + limit.as_millis() as u64));
            return self.fail(Trouble::Limited, until, now);
        }
        debug_assert!(!ask.trouble.ends_turn());
        self.say(work, now);
    }

    /// Ends a turn in an error: the hook `failed` is called instead of `stop`.
    fn fail(&mut self, trouble: Trouble, until: Option<EpochMs>, now: Instant) {
        let until = self.limited_until.or(until);
        let iso = until.map(EpochMs::utc);
        let (record, hook, text) = match trouble {
            Trouble::Limited => {
                let more = iso.as_ref().map(|at| format!(" · more at {at}")).unwrap_or_default();
                ("limit", "rate_limit", format!("Out of crackers{more}"))
            }
            Trouble::Login => ("login", "authentication_failed", "Please log in: the cage is locked".to_owned()),
            _ => ("overloaded", "overloaded", "Parrot error: 529 overloaded".to_owned()),
        };
        if trouble == Trouble::Limited {
            self.limited_until = until;
        }
        if let Err(error) = self.transcript.append_error(record, &text, iso.as_deref()) {
            self.trouble(format!("cannot write the transcript: {error}"));
        }
        self.history.plain(&format!("■ {text}"));
        match self.call(ParrotHook::Failed, &[("error", hook), ("last_assistant_message", &text)]) {
            Some(ticket) => self.turn = ParrotTurn::Stopping { ticket },
            None => self.next(now),
        }
    }

    /// The time of the turn is over: the parrot answers, unless the turn runs into trouble first.
    fn answer(&mut self, work: Work, now: Instant) {
        if matches!(work, Work::Message(_)) {
            if self.limited_until.is_some_and(|until| self.clock.now() < until) {
                return self.fail(Trouble::Limited, None, now);
            }
            self.limited_until = None;
            if let Some(trouble) = self.trouble_ahead.take() {
                return self.run_into(trouble, work, now);
            }
        }
        self.say(work, now);
    }

    /// Writes the answer of the turn, and sends the reply where the sender is to get one.
    fn say(&mut self, work: Work, now: Instant) {
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
                    // Nothing receives the result once the session has ended.
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
        match self.call(ParrotHook::Stop, &[]) {
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

    /// Ends a running turn without a stop hook, as Claude Code does. A turn whose stop hook runs is left alone.
    pub(crate) fn interrupt(&mut self, now: Instant) {
        match &self.turn {
            ParrotTurn::Idle { .. } | ParrotTurn::Stopping { .. } => return,
            ParrotTurn::Replying { cancel, .. } | ParrotTurn::Asking { cancel, .. } => {
                cancel.store(true, Ordering::Relaxed)
            }
            ParrotTurn::Prompting { .. } | ParrotTurn::Running { .. } => {}
        }
        self.write("interrupted", None);
        self.history.plain("  ⎿ Interrupted");
        self.next(now);
    }

    /// Calls the end hook, and waits until all hooks have returned.
    pub(crate) fn end(mut self, reason: &str) {
        self.call(ParrotHook::End, &[("reason", reason)]);
        self.hooks.finish();
    }

    fn call(&mut self, hook: ParrotHook, own: &[(&str, &str)]) -> Option<Ticket> {
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

    /// Shows a warning; the same reason is shown only once.
    fn trouble(&mut self, what: String) {
        // The part before the last colon may name a hook's event; one reason may come with each of them.
        let known = what.rsplit_once(": ").map_or(what.as_str(), |(_, why)| why).to_owned();
        if !self.troubles.contains(&known) {
            self.history.plain(&format!("  ⎿ Warning: {what}"));
            self.troubles.push(known);
        }
    }
}
