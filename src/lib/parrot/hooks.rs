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

/// The events that a hook is called for.
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

/// The number of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Job {
    ticket: Ticket,
    hook: ParrotHook,
    payload: Vec<u8>,
}

/// A call that has returned, with its error if it failed.
#[derive(Debug)]
pub(crate) struct HookResult {
    pub(crate) ticket: Ticket,
    pub(crate) trouble: Option<String>,
}

/// The hooks of a session; without a program, there are none.
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
                // A hook's output and exit code are ignored.
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

    /// Queues a call behind the earlier ones. `None`: there are no hooks.
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

    /// Calls the permission hook, parallel to all other calls, and sends its output to `tell`. Returns whether there is a
    /// hook. Setting `cancel` ends the call.
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

    /// The calls that have returned since this was last asked.
    pub(crate) fn done(&self) -> Vec<HookResult> {
        self.worker.iter().flat_map(|(_, told, _)| told.try_iter()).collect()
    }

    /// Waits for all queued calls; each takes at most [`LIMIT`].
    pub(crate) fn finish(mut self) {
        if let Some((ask, told, thread)) = self.worker.take() {
            drop(ask);
            let _ = thread.join();
            drop(told);
        }
    }
}
