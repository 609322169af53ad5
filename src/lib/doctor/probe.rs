//! `iapeer doctor --runtime RT`: starts the program in a scratch session of a throw-away root, and says of every
//! screen it shows which rule of the manifest matched what.

use crate::base::clock::{Clock, Deadline};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Runtime;
use crate::base::paths::Paths;
use crate::base::wake::Mode;
use crate::machine::RealHost;
use crate::machine::ready::{self, ForAPerson, LookTrouble};
use crate::roster::create::{self, Birth};
use crate::runtime::manifest::ScreenRules;
use crate::runtime::screen::{Draft, Sight};
use crate::runtime::{Kind, Manifest};
use crate::session::launch;
use crate::world::peer::Peer;
use crate::world::{Host, Launch, World};
use serde::Serialize;
use std::time::Duration;

/// A screen that was not there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SeenScreen {
    /// Milliseconds since the start.
    pub ms: u64,
    /// `blank`, `unknown`, `dialog NAME`, `composer empty`, `composer empty busy`, …
    pub what: String,
    /// The rules and whether each holds: what to repair when `what` is wrong.
    pub rules: Vec<RuleVerdict>,
    /// The last rows.
    pub tail: String,
}

/// A rule's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RuleVerdict {
    /// Its place in the manifest.
    pub rule: String,
    /// Whether it holds on this screen.
    pub holds: bool,
}

impl SeenScreen {
    /// The lines for people.
    pub(crate) fn line(&self) -> String {
        let rules: Vec<String> =
            self.rules.iter().map(|r| format!("{}{}", if r.holds { "+" } else { "-" }, r.rule)).collect();
        format!("{:>6} ms  {}  [{}]  {}", self.ms, self.what, rules.join(" "), self.tail)
    }
}

/// Why the program never became ready.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    /// It has ended, in these words.
    #[error("{0}")]
    Ended(String),
    /// It asks for something that only a person may answer.
    #[error(transparent)]
    ForAPerson(#[from] ForAPerson),
    /// It did not become ready in time.
    #[error("never-became-ready: the last screen above is none that the manifest knows as ready")]
    Never,
}

/// Starts `runtime` and reports what is seen until it is ready. The error says why it never was.
pub(crate) fn probe(world: &World<'_>, runtime: &Runtime, mut report: impl FnMut(&SeenScreen)) -> Result<(), Failure> {
    let made =
        |error: std::io::Error| Failure::new(Exit::CantCreate, format!("cannot make a throw-away root: {error}"));
    let dir = tempfile::Builder::new().prefix("iapeer-doctor.").tempdir_in("/tmp").map_err(made)?;
    let scratch = Paths::throw_away(&dir.path().join("root"))?;
    scratch.ensure()?;
    Manifest::take_along(world.paths, &scratch, runtime)?;
    let host = RealHost::new(&scratch, world.settings, world.clock);
    let world = World::new(&scratch, world.settings, world.clock, &host, "iapeer");
    let name = "doctor".parse().map_err(|error| Failure::new(Exit::Internal, format!("{error}")))?;
    let birth = Birth { name: Some("doctor".into()), runtime: Some(runtime.clone()), ..Birth::default() };
    create::create(&world, &birth)?;
    let peer = Peer::find(&scratch, &name, Some(runtime))?;
    let Some(rules) = peer.manifest.screen.as_ref().filter(|_| peer.manifest.kind == Kind::Tui) else {
        return Err(Failure::new(
            Exit::Refused,
            format!("runtime {runtime} has no screen: there is nothing to look at"),
        ));
    };
    let launch = launch::build(&world, &peer, Mode::Fresh, &launch::new_launch_name(&world), None)?;
    let processes = world.host.start(&launch)?;
    let watched = watch(&host, world.clock, &launch, rules, world.settings.boot_deadline, &mut report);
    let ended = host.end(&peer.identity, Some(processes.server), processes.pane);
    watched.map_err(|why| Failure::new(Exit::Refused, format!("{runtime}: {why}{}", origin(&peer.manifest))))?;
    Ok(ended?)
}

/// Where the rules come from, for a person who is to repair them.
fn origin(manifest: &Manifest) -> String {
    let untried = if manifest.experimental { ", and our tests do not try them" } else { "" };
    match &manifest.measured {
        Some(version) => format!(" (the rules were read off version {version}{untried})"),
        None if manifest.experimental => " (our tests do not try its rules)".to_owned(),
        None => String::new(),
    }
}

fn watch(
    host: &RealHost<'_>,
    clock: &dyn Clock,
    launch: &Launch<'_>,
    rules: &ScreenRules,
    patience: Duration,
    report: &mut impl FnMut(&SeenScreen),
) -> Result<(), ProbeError> {
    let (started, deadline) = (clock.monotonic(), Deadline::after(clock, patience.min(Duration::from_secs(60))));
    let (mut last, mut agreed) = (String::new(), 0);
    while !deadline.passed(clock) {
        match ready::look(host, launch.peer) {
            Ok(screen) => {
                let sight = screen.sight(rules);
                let what = name(&sight);
                if what != last {
                    let rules =
                        screen.verdicts(rules).into_iter().map(|(rule, holds)| RuleVerdict { rule, holds }).collect();
                    let ms = (clock.monotonic() - started).as_millis() as u64;
                    report(&SeenScreen { ms, what: what.clone(), rules, tail: screen.tail() });
                    last = what;
                }
                agreed = if matches!(sight, Sight::Input { busy: false, .. }) { agreed + 1 } else { 0 };
                if agreed > rules.looks {
                    return Ok(());
                }
                if let Sight::Dialog(dialog) = sight {
                    ready::answer(host, launch.peer, &screen, dialog)?;
                }
            }
            Err(LookTrouble::Ended { why, .. }) => return Err(ProbeError::Ended(why)),
            Err(LookTrouble::Passing) => {}
        }
        clock.sleep(Duration::from_millis(if agreed > 0 { rules.apart_ms.max(50) } else { 50 }));
    }
    Err(ProbeError::Never)
}

fn name(sight: &Sight<'_>) -> String {
    match sight {
        Sight::Blank => "blank".into(),
        Sight::Unknown => "unknown".into(),
        Sight::Dialog(dialog) => format!("dialog {}", dialog.name),
        Sight::Input { draft, busy } => {
            let draft = match draft {
                Draft::Empty => "empty",
                Draft::Paste(_) => "paste",
                Draft::Text(_) => "text",
            };
            format!("composer {draft}{}", if *busy { " busy" } else { "" })
        }
    }
}
