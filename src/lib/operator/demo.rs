//! `iapeer demo`: shows the main functions in a temporary root, by running the real programs. It ends by itself and
//! leaves nothing behind.

use crate::base::clock::{Clock, Deadline, SystemClock, wait_for};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Runtime;
use crate::base::output::say;
use crate::base::paths::{self, Paths};
use crate::host::program;
use crate::runtime::Manifest;
use crate::session::launch;
use crate::store::durable;
use crate::store::event_log;
use serde::Serialize;
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long any step may take; a real agent needs time to think.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the demo. `runtime` is that of bob, the agent that answers; alice is always a parrot.
pub fn run(runtime: &str, json: bool) -> Result<Exit, Failure> {
    let runtime: Runtime = runtime.parse().map_err(|error| Failure::new(Exit::Usage, format!("{error}")))?;
    let stage = Stage::build(runtime, json)?;
    let played = play(&stage);
    let cleaned = stage.clean();
    played?;
    cleaned?;
    let end = "Everything is gone again: no process, no file. Make your own team: `iapeer create NAME`.";
    told(json, DemoLine::Note(end), || format!("\n{end}"));
    Ok(Exit::Ok)
}

fn play(stage: &Stage) -> Result<(), Failure> {
    let bob = format!("{}-bob", stage.runtime);
    let begin = format!("iapeer keeps agents one message away. A throw-away root: {}", stage.root.display());
    told(stage.json, DemoLine::Note(&begin), || begin.clone());

    stage.heading("Two peers: alice is a parrot, bob answers what he is told.");
    stage.show("iapeer", &["create", "alice", "--runtime", "parrot"])?;
    stage.show("iapeer", &["create", "bob", "--runtime", stage.runtime.as_str()])?;
    stage.prepare()?;
    stage.show("iapeer", &["list"])?;

    stage.heading("Alice writes to bob. Bob sleeps: the message is made durable, and wakes him.");
    stage.show("iapeer-send", &["bob", "--from", "alice", "-m", stage.first_message()])?;
    stage.logs("lifecycle.log", &bob)?;

    stage.heading("Bob's answer goes the same way, by iapeer-send, and wakes alice.");
    stage.wait("bob's answer to arrive", || stage.delivered_to("alice"))?;
    stage.logs("delivery.log", " to=alice ")?;
    stage.show("iapeer", &["list"])?;

    stage.heading("Nobody has anything to do. The supervisor's tick puts idle peers to sleep.");
    stage.wait("bob to be idle", || {
        let tick = stage.output("iapeer-superviser", &["--json", "--only", &bob]).ok()?;
        String::from_utf8_lossy(&tick.stdout).contains("reaped-idle").then_some(())
    })?;
    stage.logs("lifecycle.log", "action=reaped-idle")?;
    stage.show("iapeer", &["list"])?;

    stage.heading("The next message resumes him: the same conversation, with its transcript.");
    stage.show("iapeer-send", &["bob", "--from", "alice", "-m", "do you remember me?"])?;
    stage.logs("lifecycle.log", "mode=resume")?;
    if stage.runtime.as_str() == "parrot" {
        stage.screen(&bob)?;
    }
    Ok(())
}

/// The temporary root of the demo.
struct Stage {
    runtime: Runtime,
    dir: tempfile::TempDir,
    root: PathBuf,
    home: PathBuf,
    interrupted: Arc<AtomicBool>,
    clock: SystemClock,
    json: bool,
}

/// One line of the demo, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum DemoLine<'a> {
    /// What happens next.
    Note(&'a str),
    /// A command line.
    Command(&'a str),
    /// A line that the command printed.
    Printed(&'a str),
    /// A line of a log.
    Log(&'a str),
    /// A row of a screen.
    Screen(&'a str),
}

/// Prints a line: as JSON, or as `line` for people.
fn told(json: bool, shown: DemoLine<'_>, line: impl FnOnce() -> String) {
    match json {
        false => say(line()),
        true => say(serde_json::json!(shown).to_string()),
    }
}

impl Stage {
    fn build(runtime: Runtime, json: bool) -> Result<Stage, Failure> {
        let made =
            |error: std::io::Error| Failure::new(Exit::CantCreate, format!("cannot make a throw-away folder: {error}"));
        // The path must be short: a socket's address has room for little more than 100 bytes.
        let dir = tempfile::Builder::new().prefix("iapeer-demo.").tempdir_in(short_temp_dir()).map_err(made)?;
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(made)?;
        }
        // A real agent finds its login in its user's home folder.
        let home = match runtime.as_str() {
            "parrot" => dir.path().join("home"),
            _ => std::env::var_os("HOME").map(PathBuf::from).unwrap_or_else(|| dir.path().join("home")),
        };
        paths::create_dirs(&home)?;
        let root = dir.path().join("root");
        Manifest::take_along(&Paths::from_env()?, &Paths::throw_away(&root)?, &runtime)?;
        Ok(Stage { runtime, root, home, interrupted, clock: SystemClock::default(), dir, json })
    }

    /// Makes bob, where he is a parrot, answer other agents.
    fn prepare(&self) -> Result<(), Failure> {
        if self.runtime.as_str() != "parrot" {
            return Ok(());
        }
        let path = paths::launch_env_path(&self.root.join("peers/bob"), &self.runtime);
        if let Some(dir) = path.parent() {
            paths::create_dirs(dir)?;
        }
        Ok(durable::write_atomic(&path, b"PARROT_REPLY=1\n")?)
    }

    fn first_message(&self) -> &'static str {
        match self.runtime.as_str() {
            "parrot" => "hello bob, are you there?",
            _ => {
                "Please answer this message once, with one short sentence, in the way it says above. Then you are done."
            }
        }
    }

    /// The environment of every program of the demo: without anything of the user's own peers, and with a short idle time.
    fn environment(&self) -> BTreeMap<String, OsString> {
        let mut environment: BTreeMap<String, OsString> = launch::allowed(launch::environment())
            .into_iter()
            .filter(|(key, _)| !key.starts_with("IAPEER_") || key.ends_with("_BIN"))
            .map(|(key, value)| (key, value.into()))
            .collect();
        environment.insert("HOME".into(), self.home.clone().into());
        environment.insert("IAPEER_ROOT".into(), self.root.clone().into());
        environment.insert("IAPEER_IDLE_SECS".into(), "1".into());
        environment
    }

    fn output(&self, name: &str, arguments: &[&str]) -> Result<Output, Failure> {
        program::output(&launch::bin_dir().join(name), arguments, self.environment()).map_err(|error| {
            Failure::new(Exit::Refused, format!("cannot run {name}: {error}; install the whole set (make install)"))
        })
    }

    /// Runs a program, shows its command line and its output. A failure of the program is returned.
    fn show(&self, program: &str, arguments: &[&str]) -> Result<(), Failure> {
        let words: Vec<String> = arguments
            .iter()
            .map(|word| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() })
            .collect();
        let command = format!("{program} {}", words.join(" "));
        told(self.json, DemoLine::Command(&command), || format!("$ {command}"));
        let output = self.output(program, arguments)?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            told(self.json, DemoLine::Printed(line), || format!("  {line}"));
        }
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        // Without the program's name, since the failure is reported with the name of the demo's program.
        let failure = said.lines().find_map(|line| line.strip_prefix(program)?.strip_prefix(": "));
        let why = failure.unwrap_or(said.trim()).to_owned();
        let code = output.status.code().unwrap_or(70);
        let exit = [Exit::Refused, Exit::TryAgain, Exit::Io, Exit::NoPerm, Exit::Config]
            .into_iter()
            .find(|exit| *exit as i32 == code);
        Err(Failure::new(exit.unwrap_or(Exit::Internal), why))
    }

    fn heading(&self, text: &str) {
        told(self.json, DemoLine::Note(text), || format!("\n# {text}"));
    }

    /// Shows the lines of a log that contain `wanted`.
    fn logs(&self, name: &str, wanted: &str) -> Result<(), Failure> {
        let text = event_log::tail(&self.root.join("logs/iapeer").join(name), 64 * 1024).unwrap_or_default();
        for line in text.lines().filter(|line| line.contains(wanted)) {
            told(self.json, DemoLine::Log(line), || format!("  {name}: {line}"));
        }
        Ok(())
    }

    fn delivered_to(&self, name: &str) -> Option<()> {
        let text = event_log::tail(&self.root.join("logs/iapeer/delivery.log"), 64 * 1024)?;
        text.lines().any(|line| line.contains(&format!(" to={name} ")) && line.contains(" ok=true")).then_some(())
    }

    /// Shows a session's screen.
    fn screen(&self, identity: &str) -> Result<(), Failure> {
        let tmux = crate::host::tmux::Tmux::find(Duration::from_secs(5))?;
        let socket = self.root.join(format!("socks/tmux-iap-{identity}.sock"));
        let server = tmux.server(&socket, identity);
        self.wait("the screen", || {
            let screen = server.survey(false).ok()?.screen;
            screen.contains("remember").then(|| {
                for row in screen.lines().map(str::trim_end).filter(|row| !row.is_empty()) {
                    let row: String = row.chars().take(110).collect();
                    told(self.json, DemoLine::Screen(&row), || format!("  | {row}"));
                }
            })
        })
    }

    fn wait(&self, what: &str, mut ready: impl FnMut() -> Option<()>) -> Result<(), Failure> {
        let deadline = Deadline::after(&self.clock, PATIENCE);
        let found = wait_for(&self.clock, deadline, Duration::from_millis(50), || {
            if self.interrupted.load(Ordering::Relaxed) { Some(Err(())) } else { ready().map(Ok) }
        });
        match found {
            Some(Ok(())) => Ok(()),
            Some(Err(())) => Err(Failure::new(Exit::TryAgain, "interrupted")),
            None => Err(Failure::new(
                Exit::TryAgain,
                format!("gave up waiting for {what}; the logs: {}", self.last_lines()),
            )),
        }
    }

    fn last_lines(&self) -> String {
        let text = event_log::tail(&self.root.join("logs/iapeer/delivery.log"), 4096).unwrap_or_default();
        text.lines().rev().take(3).collect::<Vec<_>>().join(" ⏎ ")
    }

    /// Ends every session of the temporary root, and removes the root.
    fn clean(self) -> Result<(), Failure> {
        self.heading("Cleaning up.");
        // Stopped, so that a drain that still runs does not wake them again.
        let _ = self.output("iapeer", &["stop", "--all"]);
        let left: Vec<Value> = self
            .output("iapeer", &["list", "--json"])
            .map(|output| {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
            })
            .unwrap_or_default();
        let live = left
            .iter()
            .flat_map(|peer| peer["runtimes"].as_array().cloned().unwrap_or_default())
            .any(|on| on["status"] == "live");
        let path = self.dir.path().to_owned();
        if live {
            let _ = self.dir.keep();
            return Err(Failure::new(
                Exit::TryAgain,
                format!("a session did not end; what is left is in {}", path.display()),
            ));
        }
        // A detached drain may still be writing its last line.
        let deadline = Deadline::after(&self.clock, Duration::from_secs(10));
        let clock: &dyn Clock = &self.clock;
        let removed = wait_for(clock, deadline, Duration::from_millis(20), || {
            let _ = std::fs::remove_dir_all(&path);
            (!path.exists()).then_some(())
        });
        removed.ok_or_else(|| Failure::new(Exit::Io, format!("cannot remove {}", path.display())))
    }
}

/// `/tmp` if it exists: the paths of macOS's own temporary folders are too long for a socket address.
fn short_temp_dir() -> PathBuf {
    let short = Path::new("/tmp");
    if short.is_dir() { short.to_owned() } else { std::env::temp_dir() }
}
