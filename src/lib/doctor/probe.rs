//! `iapeer doctor --runtime RT`: starts the program in a session of a temporary root, and reports for every screen that
//! the program shows which rule of the manifest matched which row.

use crate::base::clock::{Clock, Deadline};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Runtime;
use crate::base::paths::{self, Paths};
use crate::base::wake::Mode;
use crate::host::about;
use crate::machine::RealHost;
use crate::machine::ready::{self, ForAPerson, LookTrouble};
use crate::roster::create::{self, Birth};
use crate::runtime::manifest::ScreenRules;
use crate::runtime::screen::{Draft, Screen, Sight};
use crate::runtime::{Kind, Manifest};
use crate::session::drift::{self, Effort};
use crate::session::launch;
use crate::store::durable;
use crate::store::open::{self, Rule};
use crate::store::registry::Registry;
use crate::world::peer::Peer;
use crate::world::{Host, Launch, World};
use serde::Serialize;
use std::time::Duration;

/// A screen that is not as the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SeenScreen {
    /// Milliseconds since the start.
    pub ms: u64,
    /// `blank`, `unknown`, `dialog NAME`, `composer empty`, `composer empty busy`, …
    pub what: String,
    /// The rules, and whether each matches: they show what to repair if `what` is wrong.
    pub rules: Vec<RuleVerdict>,
    /// The last rows.
    pub tail: String,
}

/// A rule's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RuleVerdict {
    /// The rule's place in the manifest.
    pub rule: String,
    /// Whether the rule matches this screen.
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
    /// The program has ended, with these words.
    #[error("{0}")]
    Ended(String),
    /// The program asks something that only a person may answer.
    #[error(transparent)]
    ForAPerson(#[from] ForAPerson),
    /// The program did not become ready in time.
    #[error("never-became-ready: no rule of the manifest matches the last screen above as ready")]
    Never,
}

/// What a bug report needs besides the screens: which program was started, and on what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Setting {
    /// The version of iapeer.
    pub iapeer: String,
    /// The runtime.
    pub runtime: String,
    /// The program that was started.
    pub program: String,
    /// Its version, from its package or as the program prints it.
    pub version: Option<String>,
    /// The version or versions that the rules were measured with.
    pub measured: Vec<String>,
    /// The peer whose `launch.env` the program gets.
    pub launch_env_of: Option<String>,
    /// tmux and its version.
    pub tmux: String,
    /// The operating system.
    pub os: String,
}

impl Setting {
    /// The lines for people.
    pub(crate) fn lines(&self) -> String {
        let or = |text: &Option<String>, else_: &str| text.clone().unwrap_or_else(|| else_.to_owned());
        let measured = if self.measured.is_empty() { "no version".to_owned() } else { self.measured.join(" to ") };
        format!(
            "iapeer {} on {}, {}\n{} {}: {}\nrules measured with {measured}; launch.env of {}",
            self.iapeer,
            self.os,
            self.tmux,
            self.runtime,
            or(&self.version, "of unknown version"),
            self.program,
            or(&self.launch_env_of, "nobody"),
        )
    }
}

/// What is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Probed {
    /// What is started, before the first screen.
    Setting(Setting),
    /// A screen.
    Screen(SeenScreen),
}

impl Probed {
    /// The lines for people.
    pub(crate) fn line(&self) -> String {
        match self {
            Probed::Setting(setting) => setting.lines(),
            Probed::Screen(seen) => seen.line(),
        }
    }
}

/// The registered peer whose `launch.env` a probe of `runtime` uses: the first that has one.
fn borrowed(world: &World<'_>, runtime: &Runtime) -> Option<(String, Vec<u8>)> {
    let registry = Registry::read(world.paths).ok()?;
    let mine = registry.peers().iter().filter(|record| record.runtimes.contains(runtime));
    mine.into_iter().find_map(|record| {
        let bytes = open::read(&paths::launch_env_path(&record.cwd, runtime), Rule::OF_A_PEER).ok()??;
        Some((record.personality.to_string(), bytes))
    })
}

/// Starts the program of `runtime` and reports its screens until it is ready. The program gets the `launch.env` of a
/// registered peer, since that may contain its login. The error says why it never became ready.
pub(crate) fn probe(world: &World<'_>, runtime: &Runtime, mut report: impl FnMut(&Probed)) -> Result<(), Failure> {
    let made = |error: std::io::Error| Failure::new(Exit::CantCreate, format!("cannot make a temporary root: {error}"));
    let dir = tempfile::Builder::new().prefix("iapeer-doctor.").tempdir_in("/tmp").map_err(made)?;
    let scratch = Paths::throw_away(&dir.path().join("root"))?;
    scratch.ensure()?;
    Manifest::take_along(world.paths, &scratch, runtime)?;
    let borrowed = borrowed(world, runtime);
    let host = RealHost::new(&scratch, world.settings, world.clock);
    let world = World::new(&scratch, world.settings, world.clock, &host, "iapeer");
    let name = "doctor".parse().map_err(|error| Failure::new(Exit::Internal, format!("{error}")))?;
    let birth = Birth { name: Some("doctor".into()), runtime: Some(runtime.clone()), ..Birth::default() };
    create::create(&world, &birth)?;
    let peer = Peer::find(&scratch, &name, Some(runtime))?;
    let Some(rules) = peer.manifest.screen.as_ref().filter(|_| peer.manifest.kind == Kind::Tui) else {
        return Err(Failure::new(Exit::Refused, format!("runtime {runtime} has no screen to test")));
    };
    if let Some((_, bytes)) = &borrowed {
        let path = paths::launch_env_path(peer.cwd(), runtime);
        path.parent().map_or(Ok(()), paths::create_dirs)?;
        durable::write_atomic(&path, bytes)?;
    }
    let mut environment = launch::allowed(launch::environment());
    environment.extend(launch::launch_env(&peer)?.vars);
    let program = launch::find_program(&scratch, &peer, &environment)?;
    report(&Probed::Setting(Setting {
        iapeer: env!("CARGO_PKG_VERSION").to_owned(),
        runtime: runtime.to_string(),
        version: drift::version_of(&program, Effort::Run),
        program: program.display().to_string(),
        measured: peer.manifest.measured.clone(),
        launch_env_of: borrowed.map(|(name, _)| name),
        tmux: host.tmux()?.version(),
        os: about::os_version(),
    }));
    let launch = launch::build(&world, &peer, Mode::Fresh, &launch::new_launch_name(&world), None)?;
    let processes = world.host.start(&launch)?;
    let watched = watch(&host, world.clock, &launch, rules, world.settings.boot_deadline, &mut report);
    let ended = host.end(&peer.identity, Some(processes.server), processes.pane);
    watched.map_err(|why| Failure::new(Exit::Refused, format!("{runtime}: {why}{}", origin(&peer.manifest))))?;
    Ok(ended?)
}

/// The version that the rules were measured with, for a person who has to repair them.
fn origin(manifest: &Manifest) -> String {
    let untried = if manifest.experimental { "; our tests do not try them" } else { "" };
    match manifest.measured.last() {
        Some(version) => format!(" (the rules were measured with {version}{untried})"),
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
    report: &mut impl FnMut(&Probed),
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
                    report(&Probed::Screen(SeenScreen { ms, what: what.clone(), rules, tail: screen.tail() }));
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
            Err(LookTrouble::Ended { what, last }) => {
                let said = ready::last_words(host, launch).or(last).unwrap_or_default();
                // The last words of a program that ends at once may match a dialog of the manifest.
                let known = Screen::of_last_words(&said);
                if let Sight::Dialog(dialog) = known.sight(rules) {
                    ready::answer(host, launch.peer, &known, dialog)?;
                }
                return Err(ProbeError::Ended(if said.is_empty() {
                    what.to_string()
                } else {
                    format!("{what}: {said}")
                }));
            }
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
