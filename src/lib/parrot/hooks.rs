//! Hooks: the program that is called at starts, prompts, stops and ends, one call after the other.
//!
//! A thread runs the calls, so that the screen stays responsive; each call has a ticket, which tells the loop when the call
//! has returned.

use super::terminal::Waker;
use crate::base::exit::one_line;
use crate::host::child;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a hook may take.
const LIMIT: Duration = Duration::from_secs(5);

/// How long the permission hook may take.
const PERMIT_LIMIT: Duration = Duration::from_secs(3600);

/// What a hook is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParrotHook {
    Start,
    Prompt,
    Stop,
    Failed,
    Notice,
    End,
}

impl ParrotHook {
    fn word(self) -> &'static str {
        match self {
            ParrotHook::Start => "start",
            ParrotHook::Prompt => "prompt",
            ParrotHook::Stop => "stop",
            ParrotHook::Failed => "failed",
            ParrotHook::Notice => "notice",
            ParrotHook::End => "end",
        }
    }

    fn event(self) -> &'static str {
        match self {
            ParrotHook::Start => "SessionStart",
            ParrotHook::Prompt => "UserPromptSubmit",
            ParrotHook::Stop => "Stop",
            ParrotHook::Failed => "StopFailure",
            ParrotHook::Notice => "Notification",
            ParrotHook::End => "SessionEnd",
        }
    }
}

/// A call that has been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Job {
    ticket: Ticket,
    hook: ParrotHook,
    payload: Vec<u8>,
}

/// A call that has returned, with what went wrong where something did.
#[derive(Debug)]
pub(crate) struct HookResult {
    pub(crate) ticket: Ticket,
    pub(crate) trouble: Option<String>,
}

/// The hooks of a session; none where no program was given.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    worker: Option<(Sender<Job>, Receiver<HookResult>, JoinHandle<()>)>,
    program: Option<PathBuf>,
    last: u64,
}

impl Hooks {
    /// Hooks that run `program`.
    pub(crate) fn new(program: PathBuf, waker: Waker) -> Hooks {
        let (ask, asked) = channel::<Job>();
        let (tell, told) = channel();
        let own = program.clone();
        let thread = std::thread::spawn(move || {
            for job in asked {
                let ran = child::run(&program, &[job.hook.word()], job.payload, LIMIT, &AtomicBool::new(false));
                // What a hook says and how it exits is its own affair.
                let trouble = ran
                    .err()
                    .map(|error| one_line(&format!("hook {} {}: {error}", program.display(), job.hook.word())));
                if tell.send(HookResult { ticket: job.ticket, trouble }).is_err() {
                    return;
                }
                waker.wake();
            }
        });
        Hooks { worker: Some((ask, told, thread)), program: Some(own), last: 0 }
    }

    /// Asks for a call after those already asked for. No ticket: there are no hooks.
    pub(crate) fn call(&mut self, hook: ParrotHook, common: &[(&str, &str)], own: &[(&str, &str)]) -> Option<Ticket> {
        let (ask, _, _) = self.worker.as_ref()?;
        let mut payload = Map::new();
        payload.insert("hook_event_name".into(), hook.event().into());
        for (key, value) in common.iter().chain(own) {
            payload.insert((*key).into(), (*value).into());
        }
        self.last += 1;
        let ticket = Ticket(self.last);
        // Strings always serialise.
        let payload = Value::Object(payload).to_string().into_bytes();
        ask.send(Job { ticket, hook, payload }).ok().map(|()| ticket)
    }

    /// Asks the permission hook, beside all other calls; what it prints comes back through `tell`. Says whether there is
    /// one. When `cancel` is set, it is ended.
    pub(crate) fn permit(&self, payload: &Value, cancel: Arc<AtomicBool>, tell: Sender<String>, waker: Waker) -> bool {
        let Some(program) = self.program.clone() else { return false };
        let payload = payload.to_string().into_bytes();
        std::thread::spawn(move || {
            let said = child::run_and_read(&program, &["approval"], payload, PERMIT_LIMIT, &cancel).unwrap_or_default();
            let _ = tell.send(said);
            waker.wake();
        });
        true
    }

    /// The calls that have returned since the last look.
    pub(crate) fn done(&self) -> Vec<HookResult> {
        self.worker.iter().flat_map(|(_, told, _)| told.try_iter()).collect()
    }

    /// Waits for all calls that were asked for; each is bounded.
    pub(crate) fn finish(mut self) {
        if let Some((ask, told, thread)) = self.worker.take() {
            drop(ask);
            let _ = thread.join();
            drop(told);
        }
    }
}
