//! The tmux room against a real tmux, each test with a server of its own.

#![allow(unreachable_pub, clippy::unwrap_used)]

use iapeer::base::clock::{Deadline, SystemClock, wait_for};
use iapeer::host::tmux::{Input, Key, Server, Tmux, TmuxError};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

const MESSAGE: &str = "<iap from-personality=\"alice\">hello</iap>";

/// A server whose one pane writes the bytes it reads into the file `in`. Drop ends it.
struct Bench {
    dir: tempfile::TempDir,
    tmux: Tmux,
}

impl Bench {
    fn new(script: &str) -> Bench {
        let dir = tempfile::Builder::new().prefix("iap").tempdir().unwrap();
        let bench = Bench { dir, tmux: Tmux::find(Duration::from_secs(20)).unwrap() };
        let folder = bench.dir.path().display().to_string();
        let session = ["new-session", "-d", "-s", "bob", "-c", &folder, "/bin/sh", "-c", script];
        let keep = [";", "set-option", "-g", "remain-on-exit", "on"];
        bench.ask(&[&["-f", "/dev/null"], &session[..], &keep].concat());
        bench
    }

    /// One that reads, with bracketed paste on.
    fn reading() -> Bench {
        let bench = Bench::new("stty raw -echo; printf '\\033[?2004hready'; exec cat > in");
        wait(|| bench.ask(&["capture-pane", "-p", "-t", "bob"]).contains("ready"));
        bench
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.tmux.program());
        command.env_remove("TMUX").arg("-S").arg(self.socket()).stdin(Stdio::null());
        command
    }

    fn ask(&self, words: &[&str]) -> String {
        String::from_utf8(self.command().args(words).output().unwrap().stdout).unwrap()
    }

    fn server(&self) -> Server<'_> {
        self.tmux.server(&self.socket(), "bob")
    }

    fn read(&self) -> String {
        fs::read_to_string(self.dir.path().join("in")).unwrap_or_default()
    }

    fn buffers(&self) -> String {
        self.ask(&["list-buffers"])
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").stderr(Stdio::null()).status();
    }
}

fn wait(mut ready: impl FnMut() -> bool) {
    let clock = SystemClock::default();
    let deadline = Deadline::after(&clock, Duration::from_secs(20));
    wait_for(&clock, deadline, Duration::from_millis(5), || ready().then_some(())).expect("it never came");
}

fn message(text: &str) -> Input<'_> {
    Input::message(text).unwrap()
}

#[test]
fn one_process_surveys_pastes_and_presses() {
    let bench = Bench::reading();
    let mut screen = String::new();
    let typed = bench.server().survey_and_paste(&message(MESSAGE), Some(&Key::named("Enter")), &mut |survey| {
        screen = survey.screen;
        true
    });
    assert_eq!(typed, Ok(true));
    assert!(screen.starts_with("ready\n") && !screen.contains("end-of-survey"), "{screen:?}");
    let wanted = format!("\u{1b}[200~{MESSAGE}\u{1b}[201~\r");
    wait(|| bench.read().len() >= wanted.len());
    assert_eq!(bench.read(), wanted);
    assert_eq!(bench.buffers(), "");
}

#[test]
fn the_longest_message_arrives_whole() {
    let bench = Bench::reading();
    let long = format!("<iap >{}</iap>", "\u{1f600}".repeat(16_000));
    assert_eq!(bench.server().survey_and_paste(&message(&long), None, &mut |_| true), Ok(true));
    let wanted = format!("\u{1b}[200~{long}\u{1b}[201~");
    wait(|| bench.read().len() >= wanted.len());
    assert!(bench.read() == wanted);
}

#[test]
fn declining_leaves_the_session_alone_even_its_copy_mode() {
    let bench = Bench::reading();
    bench.ask(&["copy-mode", "-t", "bob:"]);
    assert_eq!(bench.server().survey_and_paste(&message(MESSAGE), None, &mut |_| false), Ok(false));
    assert_eq!(bench.ask(&["display-message", "-p", "-t", "bob:", "#{pane_in_mode}"]), "1\n");
    assert_eq!((bench.buffers().as_str(), bench.read().as_str()), ("", ""));
    // A paste that is wanted leaves it.
    assert_eq!(bench.server().survey_and_paste(&message(MESSAGE), None, &mut |_| true), Ok(true));
    wait(|| bench.read().contains(MESSAGE));
}

#[test]
fn while_it_decides_the_server_serves_others() {
    let bench = Bench::reading();
    let ((ask, asked), (tell, told)) = (channel::<()>(), channel::<()>());
    let server = bench.server();
    std::thread::scope(|scope| {
        let deciding = scope.spawn(move || {
            server.survey_and_paste(&message(MESSAGE), None, &mut |_| {
                ask.send(()).unwrap();
                told.recv().unwrap();
                true
            })
        });
        asked.recv().unwrap();
        assert_eq!(bench.ask(&["display-message", "-p", "still here"]), "still here\n");
        assert_eq!(bench.server().paste(&message("<iap 2>")), Ok(()));
        tell.send(()).unwrap();
        assert_eq!(deciding.join().unwrap(), Ok(true));
    });
    let pasted = |text: &str| format!("\u{1b}[200~{text}\u{1b}[201~");
    let wanted = pasted("<iap 2>") + &pasted(MESSAGE);
    wait(|| bench.read().len() >= wanted.len());
    assert_eq!(bench.read(), wanted);
}

#[test]
fn a_caller_that_is_killed_while_it_decides_types_nothing() {
    let bench = Bench::reading();
    // The same commands from a process of its own, killed after the survey, before a byte of the text is there.
    let words = [
        "display-message",
        "-p",
        "survey",
        ";",
        "load-buffer",
        "-b",
        "x-in",
        "-",
        ";",
        "set-buffer",
        "-b",
        "x-in",
        "-n",
        "x",
        ";",
    ];
    let paste = ["paste-buffer", "-p", "-d", "-b", "x", "-t", "bob:"];
    let mut child =
        bench.command().args(words).args(paste).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "survey\n");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(bench.ask(&["display-message", "-p", "alive"]), "alive\n");
    assert_eq!((bench.buffers().as_str(), bench.read().as_str()), ("", ""));
}

#[test]
fn a_dead_pane_is_not_pasted_into() {
    let bench = Bench::new("exit 3");
    wait(|| bench.server().look().is_ok_and(|look| look.pane_dead));
    let typed = bench.server().survey_and_paste(&message(MESSAGE), None, &mut |survey| survey.look.pane_dead);
    assert_eq!(typed, Err(TmuxError::PaneDead));
    assert_eq!(bench.buffers(), "");
    assert_eq!(bench.ask(&["display-message", "-p", "alive"]), "alive\n");
}

#[test]
fn without_a_session_nobody_is_asked() {
    let bench = Bench::reading();
    let ask = |session: &str| {
        bench
            .tmux
            .server(&bench.socket(), session)
            .survey_and_paste(&message(MESSAGE), None, &mut |_| unreachable!("there is nothing to see"))
    };
    assert_eq!(ask("carol"), Err(TmuxError::NoSession));
    bench.ask(&["kill-server"]);
    wait(|| bench.server().look() == Err(TmuxError::NoServer));
    assert_eq!(ask("bob"), Err(TmuxError::NoServer));
}
