//! What `iapeer-send` prints: reports, refusals and answers.

use crate::base::exit::{Exit, Failure};
use crate::base::harmless::harmless;
use crate::base::output;
use crate::base::span::said;
use crate::cli;
use crate::delivery::accept::{Message, SendOutcome};
use crate::delivery::ask::{self, AskAnswered};
use crate::delivery::many;
use crate::world::World;
use serde_json::json;
use std::io::IsTerminal;
use std::time::Duration;

/// The failure of a message that was not kept, in words; with `json` it is printed as an object too.
pub fn refused(json: bool, to: Option<&str>, failure: Failure) -> Failure {
    let outcome = if failure.exit == Exit::Io { "failed" } else { "refused" };
    if json {
        let mut value = json!({"outcome": outcome, "reason": failure.to_string()});
        if let Some(to) = to {
            value["to"] = to.into();
        }
        cli::tell(true, &value, String::new);
    }
    let to = to.map(|to| format!("{to}: ")).unwrap_or_default();
    Failure::new(failure.exit, format!("{outcome}: {to}{failure}"))
}

/// Sends `message` to each of `recipients`, and prints the result for each. Returns the worst exit code; with `require` a
/// message that was not delivered counts as 75.
pub fn send(
    world: &World<'_>,
    message: &Message,
    recipients: &[String],
    json: bool,
    require: bool,
) -> Result<Exit, Failure> {
    let mut worst = Exit::Ok;
    many::send(world, message, recipients, |to, sent| match sent {
        Ok(report) => {
            // A report that can't be printed is no failure: a caller repeats a failed send, and the message was accepted.
            cli::tell_done(json, &report, || report.line());
            if require && matches!(report.outcome, SendOutcome::Queued | SendOutcome::Skipped) {
                worst = worst.max(Exit::TryAgain);
            }
            Ok(())
        }
        Err(failure) => {
            let failure = refused(json, to, failure);
            worst = worst.max(failure.exit);
            one_of_several(world, to, failure)
        }
    })?;
    Ok(worst)
}

/// Reports the failure for one of several recipients, so that the others still get the message; the failure for an only
/// recipient (`to` is `None`) is returned.
fn one_of_several(world: &World<'_>, to: Option<&str>, failure: Failure) -> Result<(), Failure> {
    match to {
        None => Err(failure),
        Some(_) => {
            output::complain(&format!("{}: {failure}", world.program));
            Ok(())
        }
    }
}

/// Asks, and prints the answers: the text alone on stdout and the reports on stderr, or with `json` both in one object.
/// Returns the worst exit code, 75 where a peer did not answer in time.
pub fn ask(world: &World<'_>, message: &Message, recipients: &[String], json: bool) -> Result<Exit, Failure> {
    let mut worst = Exit::Ok;
    let mut missed = Exit::Ok;
    let tell = |answered: &AskAnswered| {
        if answered.answer.is_none() {
            missed = Exit::TryAgain;
        }
        print(answered, json, message.wait)
    };
    let refuse = |to: &str, failure: Failure| {
        let to = (recipients.len() > 1).then_some(to);
        let failure = refused(json, to, failure);
        worst = worst.max(failure.exit);
        one_of_several(world, to, failure)
    };
    ask::ask(world, message, recipients, tell, refuse)?;
    Ok(worst.max(missed))
}

fn print(answered: &AskAnswered, json: bool, wait: Duration) -> Result<(), Failure> {
    if json {
        let text = serde_json::to_string(answered).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        return output::say_surely(&crate::base::harmless::harmless_json(text));
    }
    output::complain(&answered.report.line());
    match &answered.answer {
        // Not at a terminal: a script gets the answer exactly as it was written.
        Some(letter) if std::io::stdout().is_terminal() => output::say_surely(&harmless(&letter.body)),
        Some(letter) => output::say_surely(&letter.body),
        None => {
            let who = &answered.report.identity;
            output::complain(&format!(
                "iapeer-send: no answer of {who} within {}: it will come like any other message, with re {}",
                said(wait),
                answered.report.id
            ));
            Ok(())
        }
    }
}
