//! An approval that a program's permission hook asks for: the request, the wait for its answer, the decision.
//!
//! ```text
//! <identity>.approval/ID.json     the request: the tool and its whole input
//!                     ID.answer   the answer, published by `iapeer answer`
//!                     ID.taken    the answer, once the hook has printed the decision
//! ```
//!
//! The hook prints a decision for one reason only: it has read a complete answer to this very request. Where no answer
//! comes in time, the hook is killed, or any error occurs, nothing is printed, and the program asks on its own screen.

use crate::attention::requests::{Answer, ApprovalDecision, Request, file, open};
use crate::attention::{look, tell};
use crate::base::clock::Deadline;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::paths;
use crate::base::step::{self, Point};
use crate::base::{AttentionState, Liveness, Sign, StateFile};
use crate::host::dir_watch::{DirWatch, DirWoken};
use crate::host::{ProcessId, process};
use crate::session::hook;
use crate::store::attention::{self, Attention};
use crate::store::durable::{self, Published};
use crate::store::event_log::Event;
use crate::world::World;
use crate::world::peer::Peer;
use serde_json::{Value, json};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// With somebody attached, how long a hook waits that keeps the program's own dialog off the screen.
const ATTACHED: Duration = Duration::from_secs(5);
/// How often the hook checks whether somebody is attached.
const ATTACHED_LOOK: Duration = Duration::from_secs(5);

/// Asks for the approval that the hook's `input` describes, and waits for the answer. `print` prints the decision;
/// `pipe` is the pipe to the program: where nobody reads it any more, the wait ends.
pub fn ask(
    world: &World<'_>,
    identity: &Identity,
    launch: Option<&str>,
    input: &[u8],
    pipe: Option<BorrowedFd<'_>>,
    print: impl FnOnce(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    hook::belongs(world, identity, launch)?;
    let request = request(world, launch, input)?;
    let dir = world.paths.state(identity, StateFile::Approval);
    paths::create_dirs(&dir)?;
    let unwatched = |error| Failure::io("watch", &dir, &error);
    // The watch begins before anybody can know of the request, so that no answer is missed.
    let watch = DirWatch::on(&dir).map_err(unwatched)?;
    announce(world, identity, &request)?;
    let text = serde_json::to_vec(&request).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    if durable::publish(&file(world, identity, &request.id, "json"), &text)? == Published::Taken {
        return Err(Failure::new(Exit::Internal, format!("there is a request {} already", request.id)));
    }
    let ended = wait(world, identity, &request, &watch, pipe);
    let printed = match &ended {
        Ok(Ended::Answered(answer)) => take(world, identity, &request, answer, print),
        _ => Ok(()),
    };
    // From here on `iapeer answer` refuses the request; an answer that was not taken by now is never taken.
    for kind in ["json", "answer"] {
        let _ = step::unlink(Point::AnswerRemove, &file(world, identity, &request.id, kind));
    }
    let (outcome, by) = match &ended {
        Ok(Ended::Answered(answer)) => (answer.decision.as_str(), Some(&answer.by)),
        Ok(Ended::Unread) => ("unread", None),
        Ok(Ended::Withdrawn) => ("answered-on-screen", None),
        Ok(Ended::TimedOut) | Err(_) => ("unanswered", None),
    };
    let age = format!("{}s", world.now().since(request.at).as_secs());
    let event = event(identity, &request).field("outcome", outcome).maybe("by", by).field("age", age);
    world.lifecycle(&event.maybe("err", printed.as_ref().err()));
    conclude(world, identity, &request, matches!(ended, Ok(Ended::Answered(_) | Ended::Withdrawn)))?;
    printed
}

fn request(world: &World<'_>, launch: Option<&str>, input: &[u8]) -> Result<Request, Failure> {
    let input: Value = serde_json::from_slice(input)
        .map_err(|error| Failure::new(Exit::DataErr, format!("the hook's input is no JSON: {error}")))?;
    let tool = input.get("tool_name").and_then(Value::as_str).unwrap_or("a tool").to_owned();
    let own = input.get("tool_input").cloned().unwrap_or(Value::Null);
    let hook = ProcessId::of(std::process::id() as i32)
        .ok_or_else(|| Failure::new(Exit::Internal, "this process is not known to the system"))?;
    let id = MessageId::generate(world.now()).to_string().to_lowercase();
    Ok(Request {
        // The end of the id is random, which is enough to distinguish the few requests of one peer.
        id: id[id.len() - 6..].to_owned(),
        tool: attention::one_line(&tool),
        text: summary(&own),
        input: own,
        at: world.now(),
        launch: launch.map(str::to_owned),
        hook,
    })
}

/// What a tool would do, on one line: the most telling part of its input.
fn summary(input: &Value) -> String {
    let named = ["command", "cmd", "file_path", "path", "url", "query", "pattern"].iter();
    let text = match named.filter_map(|key| input.get(*key)).next() {
        Some(Value::String(text)) => patched(text).unwrap_or_else(|| text.clone()),
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ if input.is_null() => String::new(),
        _ => input.to_string(),
    };
    attention::one_line(&text)
}

/// The files that a patch of Codex's is about, and what it does to them; `None` where `text` is no such patch.
fn patched(text: &str) -> Option<String> {
    let body = text.trim_start().strip_prefix("*** Begin Patch\n")?;
    let headers = body.lines().filter_map(|line| line.strip_prefix("*** "));
    let files: Vec<&str> = headers.filter(|line| line.contains(": ")).collect();
    (!files.is_empty()).then(|| files.join(", "))
}

/// Writes this request to `.attention`, unless an earlier request still waits.
fn announce(world: &World<'_>, identity: &Identity, request: &Request) -> Result<(), Failure> {
    let now = Attention {
        launch: request.launch.clone(),
        id: Some(request.id.clone()),
        tool: Some(request.tool.clone()),
        answers: [ApprovalDecision::Allow, ApprovalDecision::Deny].map(|decision| decision.to_string()).into(),
        hook: Some(request.hook),
        ..Attention::new(AttentionState::Approval, Sign::Hook, request.text.as_str(), request.at)
    };
    let waits = |known: &Attention| known.hook.is_some_and(|hook| process::liveness(&hook) == Liveness::Alive);
    let change = |before: Option<Attention>| match before {
        Some(known) if waits(&known) && known.launch == request.launch => Some(known),
        before => Some(now.after(before.as_ref())),
    };
    let (before, after) = attention::change(world.paths, identity, world.program, world.clock, change)?;
    look::log_change(world, identity, before.as_ref(), after.as_ref());
    Ok(())
}

enum Ended {
    /// There is an answer.
    Answered(Answer),
    /// The request was removed: the state has ended in another way.
    Withdrawn,
    /// The program has ended, or does not wait any more.
    Unread,
    /// The time is over.
    TimedOut,
}

fn wait(
    world: &World<'_>,
    identity: &Identity,
    request: &Request,
    watch: &DirWatch,
    pipe: Option<BorrowedFd<'_>>,
) -> Result<Ended, Failure> {
    let patience = Deadline::after(world.clock, world.settings.approval);
    // Where the program shows no dialog meanwhile, a person who is attached must not wait for long.
    let peer = Peer::of(world.paths, identity).ok().filter(|peer| peer.manifest.hook_hides_dialog);
    let mut attached: Option<Deadline> = None;
    let mut told = false;
    loop {
        if let Some(answer) = read_answer(world, identity, &request.id) {
            return Ok(Ended::Answered(answer));
        }
        if !file(world, identity, &request.id, "json").exists() {
            return Ok(Ended::Withdrawn);
        }
        if let Some(peer) = &peer {
            match world.host.view(peer).is_ok_and(|view| view.attached) {
                true => drop(attached.get_or_insert_with(|| Deadline::after(world.clock, ATTACHED))),
                false => attached = None,
            }
        }
        if patience.passed(world.clock) || attached.is_some_and(|deadline| deadline.passed(world.clock)) {
            return Ok(Ended::TimedOut);
        }
        let now = attention::peek(world.paths, identity);
        let tell_in = now.as_ref().filter(|_| !told).and_then(|now| tell::due_in(world, now));
        if tell_in == Some(Duration::ZERO) {
            tell::if_due(world, identity);
            told = true;
            continue;
        }
        let looks = peer.as_ref().map(|_| attached.map_or(ATTACHED_LOOK, |deadline| deadline.left(world.clock)));
        let limit = [Some(patience.left(world.clock)), tell_in, looks].into_iter().flatten().min();
        let woken = watch.wait(pipe, limit.unwrap_or(ATTACHED_LOOK));
        if woken.map_err(|error| Failure::new(Exit::Io, error.to_string()))? == DirWoken::Unread {
            return Ok(Ended::Unread);
        }
    }
}

/// Prints the decision, and notes that the answer was taken.
fn take(
    world: &World<'_>,
    identity: &Identity,
    request: &Request,
    answer: &Answer,
    print: impl FnOnce(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut decision = json!({"behavior": answer.decision});
    if let (ApprovalDecision::Deny, Some(message)) = (answer.decision, &answer.message) {
        decision["message"] = message.as_str().into();
    }
    let said = json!({"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": decision}});
    print(&said.to_string())?;
    let (from, to) = (file(world, identity, &request.id, "answer"), file(world, identity, &request.id, "taken"));
    let _ = step::rename(Point::AnswerTake, &from, &to);
    Ok(())
}

/// After a request: `.attention` gets the next request that waits, or the program's own dialog, or is removed.
fn conclude(world: &World<'_>, identity: &Identity, request: &Request, over: bool) -> Result<(), Failure> {
    if attention::peek(world.paths, identity).is_none_or(|now| now.id.as_ref() != Some(&request.id)) {
        return Ok(());
    }
    if let Some(next) = open(world, identity)?.into_iter().next() {
        look::set(world, identity, None)?;
        return announce(world, identity, &next);
    }
    if over {
        look::set(world, identity, None)?;
        return Ok(());
    }
    // The program now asks on its screen.
    let change = |before: Option<Attention>| {
        before.map(|known| Attention { evidence: Sign::Screen, id: None, hook: None, answers: Vec::new(), ..known })
    };
    attention::change(world.paths, identity, world.program, world.clock, change)?;
    Ok(())
}

/// The answer to the request `id`, if the file is complete and is about this request.
fn read_answer(world: &World<'_>, identity: &Identity, id: &str) -> Option<Answer> {
    durable::peek_json::<Answer>(&file(world, identity, id, "answer")).filter(|answer| answer.id == id)
}

/// The log line about a request.
pub(crate) fn event(identity: &Identity, request: &Request) -> Event {
    Event::new("approval")
        .field("identity", identity)
        .field("id", &request.id)
        .field("tool", &request.tool)
        .field("what", &request.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_would_do_is_one_line() {
        for (input, line) in [
            (json!({"command": "git push\n--force", "description": "x"}), "git push --force"),
            (json!({"command": ["bash", "-lc", "ls"]}), "bash -lc ls"),
            (json!({"file_path": "/a b", "content": "long"}), "/a b"),
            (
                json!({"command": "*** Begin Patch\n*** Add File: /a b\n+x\n*** Update File: c\n*** Move to: d\n@@\n-x\n+y\n*** End Patch\n"}),
                "Add File: /a b, Update File: c, Move to: d",
            ),
            (json!({"command": "*** Begin Patch\n*** End Patch"}), "*** Begin Patch *** End Patch"),
            (json!({"other": 1}), r#"{"other":1}"#),
            (json!(null), ""),
        ] {
            assert_eq!(summary(&input), line);
        }
    }
}
