//! The verbs of `iapeer`.

use crate::base::exit::{self, Exit, Failure};
use crate::base::identity::{Identity, Intelligence, Runtime};
use crate::base::normalize;
use crate::base::output;
use crate::cli::args::{Front, HostAct, OfRuntime, One, Target, Units, Verb};
use crate::cli::manual::{self, PROGRAMS};
use crate::cli::{
    self, Access, attach, attention, chronicle, completions, fleet, hosts, launches, names, people, top, verbs,
};
use crate::doctor::{probe, versions};
use crate::host::program::become_program;
use crate::host::spawn;
use crate::operator::control::{self, Done};
use crate::operator::demo;
use crate::roster::create::{self, Birth, Born};
use crate::roster::remove::{self, Removed};
use crate::roster::runtimes::Change;
use crate::roster::unfinished;
use crate::runtime::{Kind, Manifest};
use crate::session::launch;
use crate::session::rule::WakeRequest;
use crate::store::profile::Profile;
use crate::store::registry::Registry;
use crate::units::install;
use crate::world::World;
use crate::world::peer::{Peer, whole_peer};
use clap::Parser;
use clap_complete::Generator;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;

const PROGRAM: &str = "iapeer";

/// Runs the verb on the command line.
pub fn main() -> ExitCode {
    crate::host::inherited::disown();
    normalize::other_scripts(normalize::by_table);
    cli::finish_verbs_by(unfinished::finish_all);
    let verb = match Front::try_parse_from(without_second_help()) {
        Ok(front) => front.verb,
        Err(error) => return cli::usage(PROGRAM, &error),
    };
    output::run(PROGRAM, || {
        cli::init_logging(LevelFilter::WARN)?;
        run(verb)
    })
}

/// The command line; `help --help` is `help`.
fn without_second_help() -> impl Iterator<Item = OsString> {
    let asks = |word: Option<OsString>| word.is_some_and(|word| word == "--help" || word == "-h");
    let twice = std::env::args_os().nth(1).is_some_and(|word| word == "help") && asks(std::env::args_os().nth(2));
    std::env::args_os().take(if twice { 2 } else { usize::MAX })
}

fn run(verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Other(words) => other(&words),
        Verb::Completions { shell, dir, json } => put_completions(shell, dir.as_deref(), json),
        Verb::Man { dir, json } => man(dir.as_deref(), json),
        Verb::Demo { runtime, json } => demo::run(&runtime, json),
        Verb::PeerName { text } => {
            cli::say(normalize::normalize(&text));
            Ok(Exit::Ok)
        }
        // `with_world` with `Access::Write` completes interrupted verbs, before it calls the closure.
        Verb::Finish => cli::with_world(PROGRAM, Access::Write, |_| Ok(Exit::Ok)),
        Verb::Version { json } => {
            let version = env!("CARGO_PKG_VERSION");
            cli::tell(json, &serde_json::json!({ "version": version }), || version.to_owned());
            Ok(Exit::Ok)
        }
        Verb::List { hosts: true, json, .. } => hosts::list(json),
        Verb::List { state, trouble, color, json, hosts: false } => {
            cli::with_world(PROGRAM, Access::ReadOnly, |world| {
                attention::list(world, state.as_deref(), trouble, color, json)
            })
        }
        Verb::Top(given) => cli::with_world(PROGRAM, Access::ReadOnly, |world| top::run(world, &given)),
        Verb::Status { json } => cli::with_world(PROGRAM, Access::ReadOnly, |world| verbs::status(world, json)),
        Verb::Logs { peer, follow, since, json } => cli::with_world(PROGRAM, Access::ReadOnly, |world| {
            verbs::logs(world, peer.as_deref(), since.as_deref(), follow, json)
        }),
        Verb::Names { kinds } => cli::with_world(PROGRAM, Access::ReadOnly, |world| {
            names::print(world, &kinds)?;
            Ok(Exit::Ok)
        }),
        Verb::Host { act: act @ HostAct::List { .. } } => {
            cli::with_world(PROGRAM, Access::ReadOnly, |world| hosts::run(world, act))
        }
        Verb::Units { act: Units::Status { json } } => {
            cli::with_world(PROGRAM, Access::ReadOnly, |world| verbs::units_status(world, json))
        }
        // doctor itself reports a root for which other programs would be refused.
        Verb::Doctor { runtime: None, fix, color, json } => {
            cli::with_world(PROGRAM, Access::Unchecked, |world| verbs::doctor(world, fix, color, json))
        }
        Verb::Chronicle(verb) => cli::with_world(PROGRAM, Access::ReadOnly, |world| chronicle::run(world, verb)),
        Verb::Fleet(verb) => cli::with_world(PROGRAM, fleet::access(&verb), |world| fleet::run(world, verb)),
        Verb::Launch(verb) => cli::with_world(PROGRAM, Access::Write, |world| launches::run(world, verb)),
        Verb::People(verb) => cli::with_world(PROGRAM, Access::Write, |world| people::run(world, verb)),
        verb => cli::with_world(PROGRAM, Access::Write, |world| act(world, verb)),
    }
}

fn act(world: &World<'_>, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Create { name, runtime, path, description, intelligence, ephemeral, json } => {
            let intelligence = intelligence
                .map(|word| {
                    Intelligence::parse(&word).ok_or_else(|| usage("--intelligence is artificial, natural or absent"))
                })
                .transpose()?;
            let birth = Birth {
                name: Some(name),
                runtime: parse(runtime)?,
                path,
                description,
                intelligence,
                ephemeral,
                terms: None,
            };
            let born = create::create(world, &birth)?;
            cli::tell(json, &born, || created(&born));
            return Ok(held(&born));
        }
        Verb::Init { dir, runtime, description, json } => {
            let birth = Birth { runtime: parse(runtime)?, description, ..Birth::default() };
            let born = create::init(world, &dir.unwrap_or_else(|| PathBuf::from(".")), &birth)?;
            cli::tell(json, &born, || created(&born));
            return Ok(held(&born));
        }
        Verb::Host { act } => return hosts::run(world, act),
        Verb::Units { act: Units::Install(how) } => return verbs::units(world, install::install, &how),
        Verb::Units { act: Units::Uninstall(how) } => return verbs::units(world, install::uninstall, &how),
        Verb::Doctor { runtime: Some(runtime), json, .. } => {
            let runtime: Runtime = runtime.parse().map_err(|error| usage(&format!("{error}")))?;
            probe::probe(world, &runtime, |seen| cli::tell(json, seen, || seen.line()))?;
            versions::note_tried(world, &runtime)?;
            if !json {
                cli::say(format!("{runtime}: ready"));
            }
        }
        Verb::Start(target) => return each(world, &target, control::start),
        Verb::Stop(target) => {
            if target.all {
                Peer::all(world.paths)?.iter().for_each(|peer| control::mark_stopped(world, peer));
            }
            return each(world, &target, control::stop);
        }
        Verb::Refresh(target) => return each(world, &target, control::refresh),
        Verb::Interrupt(one) => return single(world, &one, "interrupt", control::interrupt),
        Verb::Compact(one) => return single(world, &one, "compact", control::compact),
        Verb::New(one) => {
            let peer = named(world, &one)?;
            let woken = control::new(world, &peer)?;
            if woken.exit != Exit::Ok {
                if one.json {
                    cli::tell(true, &woken, String::new);
                }
                return Err(Failure::new(woken.exit, format!("new: {}", woken.reason.unwrap_or_default())));
            }
            cli::tell(one.json, &woken, || format!("new: {} fresh session up", peer.identity));
        }
        Verb::Attention { follow, color, json, tell } => {
            return attention::attention(world, follow, color, json, tell.as_deref());
        }
        Verb::Answer { peer, answer, message, json } => {
            return attention::answer(world, &peer, &answer, message.as_deref(), json);
        }
        Verb::Peek { peer, lines, json } => return attention::peek(world, &peer, lines, json),
        Verb::Attach(one) => return attach::attach(world, &one),
        Verb::Remove { peer, force, json } => return remove(world, &peer, force, json),
        Verb::Rename { old, new, force, json } => return verbs::rename(world, &old, &new, force, json),
        Verb::Verify { fix, json } => return verbs::verify(world, fix, json),
        Verb::AddRuntime(of) => {
            return verbs::runtimes(world, Change::Add, &of_runtime(&of)?, of.peer.as_deref(), of.json);
        }
        Verb::DefaultRuntime(of) => {
            return verbs::runtimes(world, Change::Default, &of_runtime(&of)?, of.peer.as_deref(), of.json);
        }
        Verb::SelfFresh { json } => {
            let identity = own_identity()?;
            control::self_fresh(world, &identity, || {
                cli::tell(json, &serde_json::json!({"identity": identity, "action": "self-fresh"}), || {
                    format!("self-fresh: marked {identity} for eager fresh re-launch; self-killing session")
                });
            })?;
        }
        Verb::SelfDone { json } => {
            let identity = own_identity()?;
            let worker = control::self_done(world, &identity)?;
            let note = if worker { "" } else { " — NOTE: the peer is no ephemeral worker, the marker is inert" };
            let value = serde_json::json!({"identity": identity, "action": "self-done", "ephemeral": worker});
            cli::tell(json, &value, || {
                format!("self-done: armed {identity} for the quiet-window reap (no one woken){note}")
            });
        }
        Verb::List { .. }
        | Verb::Top(_)
        | Verb::Units { .. }
        | Verb::Status { .. }
        | Verb::Doctor { .. }
        | Verb::Logs { .. }
        | Verb::Demo { .. }
        | Verb::Completions { .. }
        | Verb::Man { .. }
        | Verb::PeerName { .. }
        | Verb::Names { .. }
        | Verb::Finish
        | Verb::Version { .. }
        | Verb::Chronicle(_)
        | Verb::Fleet(_)
        | Verb::Launch(_)
        | Verb::People(_)
        | Verb::Other(_) => {}
    }
    Ok(Exit::Ok)
}

fn usage(message: &str) -> Failure {
    Failure::new(Exit::Usage, message)
}

fn parse(runtime: Option<String>) -> Result<Option<Runtime>, Failure> {
    runtime
        .map(|text| text.parse())
        .transpose()
        .map_err(|error: crate::base::identity::NameError| usage(&error.to_string()))
}

fn of_runtime(of: &OfRuntime) -> Result<Runtime, Failure> {
    of.runtime.parse().map_err(|error: crate::base::identity::NameError| usage(&error.to_string()))
}

fn created(born: &Born) -> String {
    let unit = born.unit.as_ref().map(|unit| format!("; {}", unit.line())).unwrap_or_default();
    let owner = if born.owner { "; the owner of this host" } else { "" };
    let at = format!("{:?} ({}) at {}", born.personality.as_str(), born.runtime, born.cwd.display());
    match (born.existed, born.changed.as_slice()) {
        (false, _) => format!("created {at}{owner}{unit}"),
        (true, []) => format!("there already, and unchanged: {at}{owner}{unit}"),
        (true, changed) => format!("changed {} of {at}{owner}{unit}", changed.join(", ")),
    }
}

/// The exit code of a creation: 75 if the unit of an always-on peer did not start.
fn held(born: &Born) -> Exit {
    let failed = born.unit.as_ref().is_some_and(|unit| unit.action == "failed");
    if failed { Exit::TryAgain } else { Exit::Ok }
}

fn named(world: &World<'_>, one: &One) -> Result<Peer, Failure> {
    Peer::named(world.paths, &one.peer, parse(one.runtime.clone())?.as_ref())
}

fn own_identity() -> Result<Identity, Failure> {
    let text = std::env::var("PEER_IDENTITY")
        .map_err(|_| usage("PEER_IDENTITY is not set: this verb is for agents inside their own session"))?;
    text.parse().map_err(|error: crate::base::identity::NameError| usage(&error.to_string()))
}

/// Runs a verb for each of its targets and prints a line for each. Returns the worst exit code.
fn each(
    world: &World<'_>,
    target: &Target,
    verb: impl Fn(&World<'_>, &Peer) -> Result<Done, Failure>,
) -> Result<Exit, Failure> {
    let runtime = parse(target.runtime.clone())?;
    let mut worst = Exit::Ok;
    for peer in control::targets(world, target.peer.as_deref(), runtime.as_ref(), target.all)? {
        match verb(world, &peer) {
            Ok(done) => {
                cli::tell(target.json, &done, || exit::one_line(&done.line()));
                worst = worst.max(done.exit);
            }
            Err(failure) if target.all => {
                output::complain(&format!("{PROGRAM}: {}: {failure}", peer.identity));
                worst = worst.max(failure.exit);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(worst)
}

fn single(
    world: &World<'_>,
    one: &One,
    verb: &str,
    act: impl Fn(&World<'_>, &Peer) -> Result<Done, Failure>,
) -> Result<Exit, Failure> {
    let done = act(world, &named(world, one)?)?;
    if one.json {
        cli::tell(true, &done, String::new);
    }
    if done.exit != Exit::Ok {
        return Err(Failure::new(done.exit, format!("{verb}: {}", done.line())));
    }
    let after = done.action.strip_prefix("compacted").unwrap_or_default();
    if !one.json {
        cli::say(format!("{verb} → {} ({}){after}", done.personality, done.runtime));
    }
    Ok(Exit::Ok)
}

fn remove(world: &World<'_>, text: &str, force: bool, json: bool) -> Result<Exit, Failure> {
    let name = whole_peer(&Registry::read(world.paths)?, text)?;
    let removed = remove::remove(world, &name, force)?;
    if json {
        cli::tell(true, &removed, String::new);
        return Ok(Exit::Ok);
    }
    match removed {
        Removed { registered: true, .. } => cli::say(format!("removed {:?} from the registry", name.as_str())),
        _ if removed.purged.is_empty() => cli::say(format!("{:?} not registered — no-op", name.as_str())),
        _ => cli::say(format!("{:?} not registered", name.as_str())),
    }
    if !removed.purged.is_empty() {
        cli::say(format!("lifecycle state purged: {}", removed.purged.join(", ")));
    }
    if let Some(cwd) = removed.kept {
        cli::say(format!("folder kept: {} (delete it yourself if it is not needed)", cwd.display()));
    }
    Ok(Exit::Ok)
}

/// `iapeer WORD …`: a program `iapeer-WORD`, or a runtime.
fn other(words: &[String]) -> Result<Exit, Failure> {
    let Some(word) = words.first() else { return Err(usage("name a verb: `iapeer --help` lists them")) };
    let name = format!("{PROGRAM}-{word}");
    // A runtime may have the name of one of iapeer's programs (parrot): in a folder of a peer with that runtime, the
    // runtime is meant.
    if words.len() == 1 && is_declared_here(word) {
        return launch_here(word);
    }
    let beside = launch::bin_dir().join(&name);
    let path = std::env::var_os("PATH");
    let program = if beside.is_file() { Some(beside) } else { spawn::find_program(&name, path.as_deref()) };
    if let Some(program) = program {
        let arguments: Vec<OsString> = words[1..].iter().map(OsString::from).collect();
        let error = become_program(&program, &arguments);
        return Err(Failure::new(Exit::Internal, format!("cannot run {}: {error}", program.display())));
    }
    let unknown =
        || usage(&format!("{word:?} is no verb, no program {name} and no runtime: `iapeer --help` lists the verbs"));
    if words.len() > 1 {
        return Err(unknown());
    }
    let is_runtime = |word: &str| {
        let paths = crate::base::Paths::from_env().ok()?;
        Manifest::load(&paths, &word.parse().ok()?).ok()
    };
    if is_runtime(word).is_none() {
        return Err(unknown());
    }
    launch_here(word)
}

/// Whether the current folder is that of a peer which declares the runtime `word`.
fn is_declared_here(word: &str) -> bool {
    let profile = std::env::current_dir().ok().and_then(|cwd| Profile::read(&cwd).ok().flatten());
    profile.is_some_and(|profile| profile.runtimes().iter().any(|runtime| runtime.as_str() == word))
}

fn launch_here(word: &str) -> Result<Exit, Failure> {
    let runtime: Runtime = word.parse().map_err(|_| usage(&format!("{word:?} is no runtime")))?;
    cli::with_world(PROGRAM, Access::Write, |world| match Manifest::load(world.paths, &runtime) {
        Ok(manifest) if manifest.kind == Kind::Tui => folder_launch(world, &runtime),
        Ok(manifest) => {
            let why = match manifest.kind {
                Kind::Mailbox => "has no program: `iapeer inbox` shows what has come",
                _ => "is always on: its service unit starts it",
            };
            Err(Failure::new(Exit::Refused, format!("runtime {runtime} {why}")))
        }
        Err(_) => Err(usage(&format!("there is no runtime {runtime}"))),
    })
}

/// `iapeer RUNTIME`: starts a fresh session of the current folder's peer on that runtime, unless one is live, and attaches
/// the terminal, if there is one.
fn folder_launch(world: &World<'_>, runtime: &Runtime) -> Result<Exit, Failure> {
    let cwd = std::env::current_dir().map_err(|error| Failure::new(Exit::Io, format!("no current folder: {error}")))?;
    let profile = Profile::read(&cwd)?
        .ok_or_else(|| usage(&format!("{} is no peer's folder: `iapeer init` makes it one", cwd.display())))?;
    let peer = Peer::find(world.paths, profile.personality(), Some(runtime))?;
    let woken = control::wake(world, &peer, WakeRequest::Fresh, None)?;
    if woken.exit != Exit::Ok {
        return Err(Failure::new(woken.exit, format!("launch: {}", woken.reason.unwrap_or_default())));
    }
    let how = if woken.woke { "launched" } else { "live already:" };
    let mode = if woken.woke { " (fresh)" } else { "" };
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        cli::say(format!("{how} {}{mode} — attaching…", peer.identity));
        return attach::open_terminal(world, &peer, woken.woke, false);
    }
    cli::say(format!("{how} {}{mode}", peer.identity));
    Ok(Exit::Ok)
}

fn put_completions(shell: clap_complete::Shell, dir: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    if let Some(dir) = dir {
        std::fs::create_dir_all(dir).map_err(|error| Failure::create(dir, &error))?;
    }
    for program in PROGRAMS {
        let name = program.name;
        let script = completions::script(shell, name, program.completed());
        match dir {
            None => cli::say(script.trim_end()),
            Some(dir) => {
                // The file name by which the shell finds the script by itself.
                let file = match shell {
                    clap_complete::Shell::Bash => name.to_owned(),
                    _ => shell.file_name(name),
                };
                write(&dir.join(file), script.as_bytes(), json)?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn man(dir: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    let Some(dir) = dir else {
        PROGRAMS.iter().take(1).for_each(|front| cli::say(manual::page(front).trim_end()));
        return Ok(Exit::Ok);
    };
    std::fs::create_dir_all(dir).map_err(|error| Failure::create(dir, &error))?;
    for program in PROGRAMS {
        write(&dir.join(format!("{}.1", program.name)), manual::page(program).as_bytes(), json)?;
    }
    Ok(Exit::Ok)
}

/// Writes a generated file, and prints its path.
fn write(path: &Path, bytes: &[u8], json: bool) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| Failure::io("write", path, &error))?;
    cli::tell(json, &serde_json::json!({ "file": path }), || path.display().to_string());
    Ok(())
}
