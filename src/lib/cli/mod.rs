//! The part that all programs share, before and after their call into the library: parse arguments, read settings, open
//! the root, print, exit.
//!
//! The argument definitions of all programs are in [`args`] and the `*_args` modules, since manual pages and completions
//! are generated from them.

#![forbid(unsafe_code)]

pub mod args;
pub(crate) mod attach;
pub(crate) mod attention;
mod chronicle;
pub mod chronicle_args;
mod completions;
mod diagnostics;
mod fleet;
pub mod fleet_args;
pub mod front;
pub mod hook_input;
pub mod host_args;
pub mod hosts;
pub mod launch_args;
mod launches;
pub mod manual;
mod message_args;
pub mod names;
pub mod people;
pub mod people_args;
pub mod schedule;
pub mod send;
pub mod telegram_args;
pub(crate) mod top;
mod unit_args;
pub mod verbs;

use crate::base::clock::{Clock, SystemClock};
use crate::base::exit::{self, Exit, Failure};
use crate::base::harmless::{harmless, harmless_json};
use crate::base::normalize;
use crate::base::output;
pub use crate::base::output::say;
use crate::base::paths::Paths;
use crate::base::settings::{self, Settings};
use crate::host::{inherited, limits, program};
use crate::machine::RealHost;
use crate::session::launch;
use crate::world::World;
use clap::Parser;
use serde::Serialize;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;
use tracing::level_filters::LevelFilter;

/// How many bytes of a message are read at most. This is more than a message may have, so that a refusal can name its
/// length.
const READ_LIMIT: u64 = 1 << 20;

/// What a program does to the root before its body runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It creates missing folders and completes interrupted verbs.
    Write,
    /// It creates missing folders, but completes no interrupted verbs, because an agent waits for it.
    Hook,
    /// It changes nothing at all, and only checks whether the root can be trusted.
    ReadOnly,
    /// It does nothing: the body checks whether the root can be trusted.
    Unchecked,
}

/// Parses the arguments, opens the root, runs `body`, and sets the exit code. A wrong command line is 64.
pub fn main<A: Parser>(
    program: &'static str,
    access: impl FnOnce(&A) -> Access,
    body: impl FnOnce(A, &World<'_>) -> Result<Exit, Failure>,
) -> ExitCode {
    main_noting(program, access, body, |_| ())
}

/// [`main`] for a program that neither starts sessions nor acts on them: see [`RealHost::without_actions`].
pub fn main_without_actions<A: Parser>(
    program: &'static str,
    access: impl FnOnce(&A) -> Access,
    body: impl FnOnce(A, &World<'_>) -> Result<Exit, Failure>,
) -> ExitCode {
    main_on(|paths, settings, clock| RealHost::without_actions(paths, settings, clock), program, access, body, |_| ())
}

/// [`main`] that passes a failure to `failed` before it is reported, also where the world for `body` could not be opened.
pub fn main_noting<A: Parser>(
    program: &'static str,
    access: impl FnOnce(&A) -> Access,
    body: impl FnOnce(A, &World<'_>) -> Result<Exit, Failure>,
    failed: impl FnOnce(&Failure),
) -> ExitCode {
    main_on(|paths, settings, clock| RealHost::new(paths, settings, clock), program, access, body, failed)
}

/// Makes the host of a program's world.
type NewHost = for<'a> fn(&'a Paths, &'a Settings, &'a dyn Clock) -> RealHost<'a>;

fn main_on<A: Parser>(
    host: NewHost,
    program: &'static str,
    access: impl FnOnce(&A) -> Access,
    body: impl FnOnce(A, &World<'_>) -> Result<Exit, Failure>,
    failed: impl FnOnce(&Failure),
) -> ExitCode {
    #[cfg(feature = "failpoints")]
    if crate::base::step::failpoints::listed() {
        return Exit::Ok.into();
    }
    inherited::disown();
    let arguments = match A::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(program, &error),
    };
    output::run(program, || {
        init_logging(LevelFilter::WARN)?;
        let access = access(&arguments);
        world_on(host, program, access, |world| body(arguments, world)).inspect_err(failed)
    })
}

/// Opens settings, root and host for `program` and runs `body`.
pub fn with_world(
    program: &'static str,
    access: Access,
    body: impl FnOnce(&World<'_>) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    world_on(|paths, settings, clock| RealHost::new(paths, settings, clock), program, access, body)
}

/// [`with_world`] for a program that neither starts sessions nor acts on them: see [`RealHost::without_actions`].
pub fn with_world_without_actions(
    program: &'static str,
    access: Access,
    body: impl FnOnce(&World<'_>) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    world_on(|paths, settings, clock| RealHost::without_actions(paths, settings, clock), program, access, body)
}

fn world_on(
    host: NewHost,
    program: &'static str,
    access: Access,
    body: impl FnOnce(&World<'_>) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    if let Some(files) = limits::too_few_files() {
        let needed = limits::FILES_NEEDED;
        let why = format!("this process may open {files} files and needs {needed}: raise its limit (ulimit -n)");
        return Err(Failure::new(Exit::Refused, why));
    }
    normalize::other_scripts(ask_front);
    let settings = Settings::from_env()?;
    let paths = Paths::from_env()?;
    match access {
        Access::Write | Access::Hook => paths.ensure()?,
        Access::ReadOnly => paths.check()?,
        Access::Unchecked => {}
    }
    let clock = SystemClock::default();
    let host = host(&paths, &settings, &clock);
    let world = World::new(&paths, &settings, &clock, &host, program);
    // The folder exists only while a verb is at work or interrupted, so that nearly always this costs one system call.
    if access == Access::Write && paths.intents_dir().exists() {
        FINISHER.get().copied().unwrap_or(ask_front_to_finish)(&world);
    }
    body(&world)
}

/// Makes this program complete interrupted verbs itself, by `finish`: for `iapeer`, which has the verbs.
pub(crate) fn finish_verbs_by(finish: fn(&World<'_>)) {
    let _ = FINISHER.set(finish);
}

static FINISHER: OnceLock<fn(&World<'_>)> = OnceLock::new();

/// Runs `iapeer`, which has the verbs, to complete interrupted ones. Its complaints about what it can't complete are
/// logged.
fn ask_front_to_finish(_: &World<'_>) {
    let front = launch::bin_dir().join("iapeer");
    match program::output(&front, &["finish"], std::env::vars_os()) {
        // Its lines have their level already.
        Ok(said) if tracing::enabled!(tracing::Level::WARN) => {
            String::from_utf8_lossy(&said.stderr).lines().for_each(output::complain);
        }
        Ok(_) => {}
        Err(error) => {
            let front = front.display();
            tracing::warn!("a verb was cut short, and {front} can't finish it: {error}; install the whole set");
        }
    }
}

/// The peer name that `text` is normalized to, from `iapeer`, the only program that has the table of transliterations;
/// empty where `iapeer` can't be run.
fn ask_front(text: &str) -> String {
    let front = launch::bin_dir().join("iapeer");
    let why = match program::output(&front, &["peer-name", text], std::env::vars_os()) {
        Ok(said) if said.status.success() => return String::from_utf8_lossy(&said.stdout).trim().to_owned(),
        Ok(said) => String::from_utf8_lossy(&said.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let front = front.display();
    tracing::warn!("cannot ask {front} which name {text:?} gives: {why}; install the whole set (make install)");
    String::new()
}

/// Prints clap's message; help and version are 0, everything else 64.
pub fn usage(program: &str, error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if error.use_stderr() {
        return Exit::Usage.into();
    }
    output::note(printed);
    output::exit_code(program, Exit::Ok).into()
}

/// Prints diagnostics on stderr, from the level in `IAPEER_LOG` on, else from `default` on.
pub fn init_logging(default: LevelFilter) -> Result<(), Failure> {
    let level = settings::log_level(default)?;
    diagnostics::print(level);
    Ok(())
}

/// Prints a result: as one JSON object per line, or as `line` for people.
pub fn tell(json: bool, value: &impl Serialize, line: impl FnOnce() -> String) {
    say(told(json, value, line));
}

/// [`tell`] for an act that must not be repeated: if the result can't be printed, the act is still no failure.
pub(crate) fn tell_done(json: bool, value: &impl Serialize, line: impl Fn() -> String) {
    output::say_done(&told(json, value, &line), &exit::one_line(&line()));
}

fn told(json: bool, value: &impl Serialize, line: impl FnOnce() -> String) -> String {
    if !json {
        return harmless(&line());
    }
    let text = serde_json::to_string(value);
    harmless_json(text.unwrap_or_else(|error| format!("{{\"error\":{:?}}}", error.to_string())))
}

/// The text of a message: from the argument, a file, or stdin (`-`, or nothing given and no terminal).
pub fn body(text: Option<String>, file: Option<&Path>) -> Result<String, Failure> {
    let bytes = match (text, file) {
        (Some(text), None) => return Ok(text),
        (Some(_), Some(_)) => return Err(Failure::new(Exit::Usage, "give the message by -m or by -f, not both")),
        (None, Some(path)) if path != Path::new("-") => {
            let open = std::fs::File::open(path).and_then(read_bounded);
            open.map_err(|error| Failure::new(Exit::NoInput, format!("cannot read {}: {error}", path.display())))?
        }
        (None, None) if io::stdin().is_terminal() => {
            return Err(Failure::new(Exit::Usage, "no message: give -m TEXT, -f FILE, or the text on stdin"));
        }
        (None, _) => read_bounded(io::stdin())
            .map_err(|error| Failure::new(Exit::NoInput, format!("cannot read stdin: {error}")))?,
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new(Exit::DataErr, format!("the message is not UTF-8 (byte {at}): attach it as a file instead"))
    })?;
    // The LF at the end of a pipeline's output is not meant as a part of the message.
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}

fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(READ_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}
