//! iapeer-parrot in a real tmux: what it shows, what it takes, what it leaves behind.

#![allow(unreachable_pub, clippy::unwrap_used)]

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const PARROT: &str = env!("CARGO_BIN_EXE_iapeer-parrot");
const DEADLINE: Duration = Duration::from_secs(30);
const GHOST: &str = "»\u{a0}Type a message";

/// Looks until `ready` gives a value; panics with `what` and `state` when it never does.
fn wait<T>(what: &str, state: impl Fn() -> String, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain: {what}\n{}", state());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// A home of its own, with a hook program that writes down what it hears.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        let home = Home { dir };
        home.script("hook", "line=$(cat); printf '%s\\n' \"$line\" >>\"$HOME/hooks\"; exit 9");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn records(&self) -> Vec<Value> {
        lines(&self.path("record"))
    }

    fn hooks(&self) -> Vec<String> {
        lines(&self.path("hooks")).iter().map(|h| h["hook_event_name"].as_str().unwrap().to_owned()).collect()
    }

    fn transcripts(&self) -> Vec<PathBuf> {
        let Ok(dir) = fs::read_dir(self.path(".iapeer-parrot/sessions")) else { return Vec::new() };
        dir.map(|entry| entry.unwrap().path()).collect()
    }

    fn transcript(&self) -> Vec<Value> {
        self.transcripts().first().map(|path| lines(path)).unwrap_or_default()
    }

    fn kinds(&self) -> Vec<String> {
        self.transcript().iter().map(|record| record["type"].as_str().unwrap().to_owned()).collect()
    }

    /// A parrot in its own tmux server.
    fn start(&self, env: &[(&str, &str)], args: &[&str]) -> Pane<'_> {
        self.start_program(PARROT, env, args)
    }

    fn start_program(&self, program: &str, env: &[(&str, &str)], args: &[&str]) -> Pane<'_> {
        let pane =
            Pane { home: self, socket: self.path(&format!("s{}", fs::read_dir(self.dir.path()).unwrap().count())) };
        // The name stays taken when the server is gone: a socket is never used twice.
        fs::write(pane.socket.with_extension("used"), "").unwrap();
        let mut command = pane.tmux();
        command.env_clear().envs([("PATH", std::env::var("PATH").unwrap()), ("LANG", "C.UTF-8".into())]);
        command.env("HOME", self.dir.path()).env("PARROT_RECORD", self.path("record")).envs(env.iter().copied());
        command.args(["-u", "new-session", "-d", "-s", "p", "-x", "100", "-y", "30", "-c"]).arg(self.path("work"));
        command.arg("--").arg(program).args(args).args([";", "set-option", "-t", "p", "remain-on-exit", "on"]);
        let out = command.output().unwrap();
        assert!(out.status.success(), "{out:?}");
        pane
    }

    fn ready(&self, env: &[(&str, &str)], args: &[&str]) -> Pane<'_> {
        let pane = self.start(env, args);
        pane.wait_ready();
        pane
    }
}

struct Pane<'a> {
    home: &'a Home,
    socket: PathBuf,
}

impl Drop for Pane<'_> {
    fn drop(&mut self) {
        let _ = self.tmux().arg("kill-server").output();
    }
}

impl Pane<'_> {
    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(["-f", "/dev/null"]).env_remove("TMUX");
        command
    }

    fn run(&self, args: &[&str]) -> String {
        let out = self.tmux().args(args).output().unwrap();
        assert!(out.status.success(), "tmux {args:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap()
    }

    fn format(&self, format: &str) -> String {
        self.run(&["display-message", "-p", "-t", "=p:", format]).trim_end_matches('\n').to_owned()
    }

    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p", "-t", "=p:"])
    }

    fn rows(&self) -> Vec<String> {
        self.screen().lines().map(|row| row.trim_end_matches(' ').to_owned()).collect()
    }

    fn wait<T>(&self, what: &str, ready: impl FnMut() -> Option<T>) -> T {
        wait(what, || format!("{}\n{:?}\n{:?}", self.screen(), self.home.hooks(), self.home.kinds()), ready)
    }

    fn wait_rows(&self, what: &str, wanted: impl Fn(&[String]) -> bool) {
        self.wait(what, || wanted(&self.rows()).then_some(()));
    }

    fn wait_row(&self, row: &str) {
        self.wait_rows(row, |rows| rows.iter().any(|r| r == row));
    }

    fn wait_ready(&self) {
        self.wait_rows("a composer and a ready footer", |rows| {
            rows.iter().any(|row| row == GHOST) && rows.last().is_some_and(|row| row.starts_with("  parrot ready"))
        });
    }

    fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys", "-t", "=p:"], keys].concat());
    }

    fn paste(&self, text: &[u8], bracketed: &[&str]) {
        let mut load = self.tmux().args(["load-buffer", "-b", "t", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        load.stdin.take().unwrap().write_all(text).unwrap();
        assert!(load.wait().unwrap().success());
        self.run(&[&["paste-buffer", "-d", "-b", "t", "-t", "=p:"], bracketed].concat());
    }

    /// Pastes `text`, and submits it once the composer holds it.
    fn say(&self, text: &str) {
        self.paste(text.as_bytes(), &["-p"]);
        self.wait_rows("the composer holds the paste", |rows| {
            rows.iter().any(|row| row.starts_with('»') && row != GHOST)
        });
        self.keys(&["Enter"]);
    }

    /// Submits `text` and waits for its record.
    fn submit(&self, text: &str) -> Value {
        let before = self.home.records().len();
        self.say(text);
        self.wait("the record", || self.home.records().get(before).cloned())
    }

    fn wait_hooks(&self, expected: &[&str]) {
        self.wait(&format!("hooks {expected:?}"), || (self.home.hooks() == expected).then_some(()));
    }

    fn wait_kinds(&self, expected: &[&str]) {
        self.wait(&format!("transcript {expected:?}"), || (self.home.kinds() == expected).then_some(()));
    }

    /// `status:signal` of the dead pane.
    fn ended(&self) -> String {
        self.wait("the end of the parrot", || {
            // tmux 3.3a may miss the signal of its child; a job of its own makes it look again. In the background:
            // the signal of that job may be missed as well, and its client would wait for ever.
            self.run(&["run-shell", "-b", "true"]);
            let said = self.format("#{pane_dead} #{pane_dead_status}:#{pane_dead_signal}");
            said.strip_prefix("1 ").filter(|end| *end != ":").map(str::to_owned)
        })
    }

    /// Waits for words that a dead pane may have scrolled away; tmux may read the last output after the end.
    fn wait_words(&self, words: &str) {
        self.wait(words, || self.run(&["capture-pane", "-p", "-S", "-", "-t", "=p:"]).contains(words).then_some(()));
    }

    fn pid(&self) -> i32 {
        self.format("#{pane_pid}").parse().unwrap()
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }
}

fn plain(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(PARROT);
    command.env_clear().env("HOME", "/nonexistent").envs(env.iter().copied()).args(args).stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn without_a_terminal_it_says_so_in_one_line() {
    for (args, env, code, word) in [
        (&[][..], &[][..], 64, "terminal"),
        (&["--resume", "--hook"], &[], 64, "--hook"),
        (&[], &[("PARROT_TURN_MS", "soon")], 78, "PARROT_TURN_MS"),
        (&[], &[("PARROT_DIALOG", "trust;update")], 78, "PARROT_DIALOG"),
    ] {
        let out = plain(args, env);
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{said}");
        assert!(said.contains(word), "{said}");
        assert!(code == 64 && !args.is_empty() || said.lines().count() == 1, "{said}");
    }
    let help = plain(&["--help"], &[]);
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("PARROT_SWALLOW"));
}

#[test]
fn the_ready_screen_is_what_a_manifest_can_rely_on() {
    let home = Home::new();
    fs::write(home.path("prompt"), "be a parrot").unwrap();
    let prompt = home.path("prompt");
    let pane = home.ready(&[], &["--system-prompt-file", prompt.to_str().unwrap(), "--model", "macaw", "-x"]);
    let rows = pane.rows();
    assert_eq!(rows[0], format!("Parrot {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(rows[1], "system prompt: 11 bytes");
    let rule = "─".repeat(100);
    assert_eq!(rows[26..], [rule.as_str(), GHOST, rule.as_str(), "  parrot ready"]);
    assert!(pane.run(&["capture-pane", "-p", "-e", "-t", "=p:"]).contains("»\u{a0}\x1b[2mType a message"));
    pane.wait("the title", || (pane.format("#{pane_title} #{alternate_on}") == "parrot 0").then_some(()));
    assert_eq!(home.transcripts(), [] as [PathBuf; 0], "no transcript before the first submit");
    pane.run(&["resize-window", "-t", "=p:", "-x", "60", "-y", "12"]);
    pane.wait_rows("the picture in the new size", |rows| {
        rows.len() == 12 && rows[11] == "  parrot ready" && rows[10] == "─".repeat(60) && rows[9] == GHOST
    });
    pane.keys(&["C-d"]);
    assert_eq!(pane.ended(), "0:");
}

#[test]
fn a_system_prompt_that_cannot_be_read_ends_it() {
    let home = Home::new();
    let pane = home.start(&[], &["--system-prompt-file", "/nonexistent/prompt"]);
    assert_eq!(pane.ended(), "1:");
    pane.wait_words("cannot read the system prompt");
}

#[test]
fn every_paste_arrives_byte_by_byte() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_TURN_MS", "0"), ("PEER_IDENTITY", "parrot-bob")], &[]);
    let long: String = ('a'..='z').chain(['漢', '\n', 'é']).cycle().take(16_000).collect();
    let huge = "0123456789abcde\n".repeat(13_000);
    let bodies = [
        "x",
        "two\nlines",
        "\n\nblank lines around\n\n",
        "-leading dash",
        "--",
        "trailing semicolon;",
        ";",
        "\\;",
        "quotes \" ' ` $(touch x) ${HOME} `id` \\ \\n #{pane_id} %",
        "tab\tin\tthe\tmiddle\t",
        "emoji 🦜👩‍👩‍👧‍👦🇪🇪 cjk 漢字かな한국어 combining e\u{301} zero\u{200b}width",
        "<iap x=\"y\"><message><![CDATA[a ]]> b]]></message>\n</iap>",
        "» looks like a prompt",
        "  leading and trailing spaces  ",
        "q",
        &long,
        &huge,
    ];
    for (index, body) in bodies.iter().enumerate() {
        let record = pane.submit(body);
        assert!(record["text"] == *body, "body {index} arrived as {:.200}", record["text"].to_string());
        assert_eq!((&record["identity"], record["pid"].as_i64()), (&"parrot-bob".into(), Some(pane.pid().into())));
        pane.wait_ready();
    }
    let users: Vec<Value> = home.transcript().into_iter().filter(|record| record["type"] == "user").collect();
    assert!(users.iter().map(|user| user["text"].as_str().unwrap()).eq(bodies), "the transcript has the same");
    assert_eq!(home.records().len(), bodies.len());
}

#[test]
fn a_large_paste_is_a_mark_and_is_submitted_whole() {
    let home = Home::new();
    let pane = home.ready(&[], &[]);
    let text = "line\n".repeat(12);
    pane.paste(text.as_bytes(), &["-p"]);
    pane.wait_row("»\u{a0}[Pasted text #1 +12 lines]");
    pane.keys(&["-l", "tail"]);
    pane.wait_row("»\u{a0}[Pasted text #1 +12 lines]tail");
    pane.keys(&["Enter"]);
    pane.wait("the record", || (home.records().first()?["text"] == format!("{text}tail")).then_some(()));
}

#[test]
fn without_brackets_every_line_is_a_submit() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_TURN_MS", "0")], &[]);
    pane.paste(b"one\ntwo\nthree", &[]);
    pane.wait_row("»\u{a0}three");
    let texts: Vec<Value> = home.records().iter().map(|record| record["text"].clone()).collect();
    assert_eq!(texts, ["one", "two"]);
}

#[test]
fn the_first_submits_can_be_swallowed() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_SWALLOW", "2")], &[]);
    pane.say("hello");
    pane.keys(&["Enter", "-", "BSpace"]);
    pane.wait_row("»\u{a0}hello");
    assert!(home.records().is_empty());
    pane.keys(&["Enter"]);
    pane.wait("the record", || (home.records().first()?["text"] == "hello").then_some(()));
    assert_eq!(home.records().len(), 1);
}

#[test]
fn keys_edit_and_leave() {
    let home = Home::new();
    let pane = home.ready(&[], &[]);
    pane.keys(&["a", "C-j", "b", "漢", "BSpace", "Up", "Left", "M-x", "F5"]);
    pane.wait_rows("two rows", |rows| rows.windows(2).any(|w| w[0] == "»\u{a0}a" && w[1] == "  b"));
    pane.keys(&["C-c"]);
    pane.wait_ready();
    pane.keys(&["z", "C-u"]);
    pane.wait_ready();
    pane.keys(&["C-c"]);
    pane.wait_row("  Press Ctrl-C again to exit");
    pane.keys(&["y"]);
    pane.wait_row("»\u{a0}y");
    pane.keys(&["C-u", "C-c"]);
    pane.wait_row("  Press Ctrl-C again to exit");
    pane.keys(&["C-c"]);
    assert_eq!(pane.ended(), "0:");
    assert!(home.records().is_empty());
}

#[test]
fn the_trust_dialog_leaves_by_default() {
    let home = Home::new();
    let pane = home.start(&[("PARROT_DIALOG", "trust")], &[]);
    pane.wait_row(" ❯ No, exit");
    assert!(pane.rows().iter().all(|row| !row.starts_with('»')));
    pane.keys(&["Enter"]);
    assert_eq!(pane.ended(), "1:");
    pane.wait_words("This folder isn't trusted.");
}

#[test]
fn dialogs_come_in_their_order_and_lose_what_is_pasted() {
    let home = Home::new();
    let pane = home.start(&[("PARROT_DIALOG", "update,trust,picker"), ("PARROT_TURN_MS", "0")], &[]);
    pane.wait_row(" Press Enter to continue");
    pane.paste(b"lost\nforever", &["-p"]);
    pane.keys(&["Enter"]);
    pane.wait_row(" ❯ No, exit");
    pane.keys(&["Down"]);
    pane.wait_row(" ❯ Yes, I trust this folder");
    pane.keys(&["Enter"]);
    pane.wait_row(" ❯ 1. Resume from summary");
    pane.keys(&["Down"]);
    pane.wait_row(" ❯ 2. Resume full session");
    pane.keys(&["Enter"]);
    pane.wait_ready();
    pane.submit("found");
    assert_eq!(home.records()[0]["text"], "found");
    assert!(!home.kinds().contains(&"summarised".to_owned()));
}

#[test]
fn the_pickers_default_is_seen_in_the_transcript() {
    let home = Home::new();
    let pane = home.start(&[("PARROT_DIALOG", "picker")], &[]);
    pane.wait_row(" ❯ 1. Resume from summary");
    pane.keys(&["Enter"]);
    pane.wait_row("• Resumed from summary");
    assert_eq!(home.kinds(), ["session", "summarised"]);
}

#[test]
fn nothing_answers_the_login() {
    let home = Home::new();
    let pane = home.start(&[("PARROT_DIALOG", "login")], &[]);
    pane.wait_rows("login", |rows| rows.iter().any(|row| row.contains("Select login method:")));
    pane.keys(&["Enter", "Enter", "j"]);
    pane.wait_rows("still there", |rows| rows.iter().any(|row| row.starts_with(" ❯ 2.")));
    pane.keys(&["C-c"]);
    assert_eq!(pane.ended(), "1:");
}

#[test]
fn a_message_in_a_running_turn_waits_and_hooks_keep_their_order() {
    let home = Home::new();
    // The first turn goes on until the second message is there: its prompt hook waits for the queued record.
    let hook = home.script(
        "slow-hook",
        "line=$(cat); printf '%s\\n' \"$line\" >>\"$HOME/hooks\"; [ $1 = prompt ] || exit 0\n\
         case $line in *first*) until grep -q queued \"$HOME\"/.iapeer-parrot/sessions/*; do sleep 0.01; done;; esac",
    );
    let pane = home.ready(&[("PARROT_TURN_MS", "1")], &["--hook", hook.to_str().unwrap()]);
    pane.wait_hooks(&["SessionStart"]);
    pane.submit("first");
    pane.wait_row("  parrot busy · esc to interrupt");
    assert_eq!(pane.format("#{pane_title}"), "⠿ parrot");
    pane.submit("second");
    pane.wait_kinds(&["session", "user", "queued", "assistant", "turn_end", "user", "assistant", "turn_end"]);
    pane.wait_hooks(&["SessionStart", "UserPromptSubmit", "Stop", "UserPromptSubmit", "Stop"]);
    pane.wait_ready();
    let modes: Vec<Value> = home.records().iter().map(|record| record["mode"].clone()).collect();
    assert_eq!(modes, ["idle", "queued"]);
    pane.keys(&["-l", "/quit"]);
    pane.keys(&["Enter"]);
    assert_eq!(pane.ended(), "0:");
    let told = lines(&home.path("hooks"));
    assert_eq!(told[0]["source"], "startup");
    assert_eq!(told[1]["prompt"], "first");
    assert_eq!((&told[5]["hook_event_name"], &told[5]["reason"]), (&"SessionEnd".into(), &"prompt_input_exit".into()));
    let transcript = home.transcripts().remove(0);
    for hook in &told {
        assert_eq!(hook["transcript_path"], transcript.to_str().unwrap());
        assert_eq!(hook["cwd"], home.path("work").canonicalize().unwrap().to_str().unwrap());
        assert_eq!(hook["session_id"], transcript.file_stem().unwrap().to_str().unwrap());
    }
}

#[test]
fn an_interrupt_ends_the_turn_without_a_stop_hook() {
    let home = Home::new();
    let hook = home.path("hook");
    let pane = home.ready(&[("PARROT_HANG", "turn"), ("PARROT_TURN_MS", "0")], &["--hook", hook.to_str().unwrap()]);
    pane.submit("hang");
    pane.wait_hooks(&["SessionStart", "UserPromptSubmit"]);
    pane.submit("next");
    pane.wait_row("  ⎿ Queued");
    pane.keys(&["Escape"]);
    pane.wait_row("  ⎿ Interrupted");
    pane.wait_kinds(&["session", "user", "queued", "interrupted", "user", "assistant", "turn_end"]);
    pane.wait_hooks(&["SessionStart", "UserPromptSubmit", "UserPromptSubmit", "Stop"]);
    pane.wait_ready();
    assert!(!pane.rows().contains(&"  ⎿ Queued".to_owned()));
}

#[test]
fn commands_and_shells_are_shown_and_never_run() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_TURN_MS", "0")], &[]);
    pane.submit("/compact");
    pane.wait_row("• Nothing to compact");
    pane.submit("/dance now");
    pane.wait_row("• Unknown command: /dance");
    pane.submit("!touch ran");
    pane.wait_row("• (would have run a shell command)");
    assert!(home.transcripts().is_empty() && !home.path("work/ran").exists());
    pane.submit("hi");
    pane.wait_kinds(&["session", "user", "assistant", "turn_end"]);
    pane.wait_ready();
    pane.submit("/compact");
    pane.wait_row("• Context compacted");
    assert_eq!(home.kinds().last().unwrap(), "compacted");
    let marks: Vec<bool> = home.records().iter().map(|r| r["command"] == true || r["shell"] == true).collect();
    assert_eq!(marks, [true, true, true, false, true]);
}

#[test]
fn a_session_is_resumed_in_its_own_file() {
    let home = Home::new();
    let hook = home.path("hook");
    let none = home.start(&[], &["--resume"]);
    assert_eq!(none.ended(), "1:");
    none.wait_words("No conversation found to continue");
    let first = home.ready(&[("PARROT_TURN_MS", "0")], &[]);
    first.submit("remember me");
    first.wait_kinds(&["session", "user", "assistant", "turn_end"]);
    first.keys(&["C-d"]);
    assert_eq!(first.ended(), "0:");
    let path = home.transcripts().remove(0);
    let before = fs::read(&path).unwrap();
    let id = path.file_stem().unwrap().to_str().unwrap();
    for args in [&["--resume", "--hook", hook.to_str().unwrap()][..], &["--resume", id]] {
        let pane = home.ready(&[("PARROT_TURN_MS", "0")], args);
        pane.wait_rows("what was said", |rows| {
            rows.contains(&"› remember me".to_owned())
                && rows.contains(&"• remember me".to_owned())
                && rows.iter().any(|row| row.starts_with(&format!("resumed {id} (")))
        });
    }
    assert_eq!(lines(&home.path("hooks"))[0]["source"], "resume");
    assert!(fs::read(&path).unwrap() == before, "resuming alone writes nothing");
    let pane = home.ready(&[("PARROT_TURN_MS", "0")], &["--resume"]);
    pane.submit("more");
    pane.wait_kinds(&["session", "user", "assistant", "turn_end", "user", "assistant", "turn_end"]);
    assert_eq!(home.transcripts().len(), 1);
    let other = home.start(&[], &["--resume", "01jnothing"]);
    assert_eq!(other.ended(), "1:");
}

#[test]
fn it_crashes_where_it_is_told_to() {
    for (at, env) in [("boot", ("PARROT_BOOT_MS", "50")), ("idle", ("PARROT_TURN_MS", "0"))] {
        let home = Home::new();
        let hook = home.path("hook");
        let pane = home.start(&[("PARROT_CRASH", at), env], &["--hook", hook.to_str().unwrap()]);
        assert_eq!(pane.ended(), ":6", "{at}");
        assert_eq!(home.hooks().len(), usize::from(at == "idle"), "no end hook after a crash");
    }
    let home = Home::new();
    let pane = home.ready(&[("PARROT_CRASH", "turn")], &[]);
    pane.say("die");
    assert_eq!(pane.ended(), ":6");
    assert_eq!(home.kinds(), ["session", "user"]);
    assert_eq!(home.records().len(), 1);
    let home = Home::new();
    let pane = home.ready(&[("PARROT_CRASH_AT", "2"), ("PARROT_TURN_MS", "0")], &[]);
    pane.say("live");
    pane.wait_ready();
    pane.say("die");
    assert_eq!(pane.ended(), ":6");
    assert_eq!(home.kinds(), ["session", "user", "assistant", "turn_end"], "nothing tells of the second message");
    assert_eq!(home.records().len(), 2);
}

#[test]
fn signals_end_it_in_order() {
    let home = Home::new();
    let hook = home.path("hook");
    let pane = home.ready(&[], &["--hook", hook.to_str().unwrap()]);
    pane.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(pane.ended(), "143:");
    assert_eq!(home.hooks(), ["SessionStart", "SessionEnd"]);

    let pane = home.ready(&[], &["--hook", hook.to_str().unwrap()]);
    pane.wait_hooks(&["SessionStart", "SessionEnd", "SessionStart"]);
    let pid = pane.pid();
    pane.run(&["kill-server"]);
    wait("the end after HUP", String::new, || (home.hooks().len() == 4).then_some(()));
    wait("the process to be gone", String::new, || gone(pid).then_some(()));
}

/// Whether the process has ended; one that nobody has waited for yet has.
fn gone(pid: i32) -> bool {
    let out = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8(out.stdout).unwrap();
    state.trim().is_empty() || state.trim().starts_with('Z')
}

#[test]
fn the_terminal_is_put_back() {
    let home = Home::new();
    let script = format!(
        "stty -g >\"$HOME/before\"; '{PARROT}'; stty -g >\"$HOME/after.new\"; mv \"$HOME/after.new\" \"$HOME/after\"; cat"
    );
    let pane = home.start_program("sh", &[], &["-c", &script]);
    pane.wait_ready();
    pane.keys(&["C-d"]);
    let after = pane.wait("the shell goes on", || fs::read_to_string(home.path("after")).ok());
    assert_eq!(after, fs::read_to_string(home.path("before")).unwrap());
    assert_eq!(pane.format("#{cursor_flag} #{wrap_flag}"), "1 1");
    // Bracketed paste is off again: without it tmux sends the bare text.
    pane.paste(b"bare", &["-p"]);
    pane.wait_row("bare");
}

#[test]
fn it_can_outlive_its_server() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_IGNORE_HUP", "1")], &[]);
    let pid = nix::unistd::Pid::from_raw(pane.pid());
    pane.signal(nix::sys::signal::Signal::SIGTERM);
    pane.submit("still here");
    pane.run(&["kill-server"]);
    wait("the server to be gone", String::new, || {
        (!pane.tmux().args(["has-session"]).output().unwrap().status.success()).then_some(())
    });
    assert!(!gone(pid.as_raw()));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait("the process to be gone", String::new, || gone(pid.as_raw()).then_some(()));
}

#[test]
fn boots_are_blank_false_or_endless() {
    let home = Home::new();
    let hung = home.start(&[("PARROT_HANG", "boot")], &[]);
    hung.wait_row("Loading…");
    assert!(hung.rows().iter().all(|row| !row.starts_with('»')));

    let pane = home.start(&[("PARROT_BOOT_MS", "400"), ("PARROT_TURN_MS", "0")], &[]);
    pane.keys(&["-l", "typed ahead"]);
    pane.wait_row("»\u{a0}typed ahead");

    let early = home.start(&[("PARROT_EARLY", "1"), ("PARROT_DIALOG", "update")], &[]);
    early.wait_row(GHOST);
    early.keys(&["-l", "lost"]);
    early.wait_row(" Press Enter to continue");
    early.keys(&["Enter"]);
    early.wait_ready();
}

#[test]
fn noise_moves_only_the_footer() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_NOISE_MS", "5")], &[]);
    pane.wait_rows("a counter", |rows| rows.last().is_some_and(|row| row.starts_with("  parrot ready · 2")));
    assert!(pane.rows().contains(&GHOST.to_owned()));
    assert_eq!(pane.submit("through the noise")["text"], "through the noise");
}

#[test]
fn hooks_can_be_off_missing_or_stuck_and_the_session_goes_on() {
    let home = Home::new();
    let hook = home.path("hook");
    let off = home.ready(&[("PARROT_NOHOOKS", "1"), ("PARROT_TURN_MS", "0")], &["--hook", hook.to_str().unwrap()]);
    off.submit("a");
    off.wait_row("• a");
    assert!(home.hooks().is_empty());
    let missing = home.ready(&[("PARROT_TURN_MS", "0")], &["--hook", "/nonexistent/hook"]);
    missing.wait_rows("one warning", |rows| rows.iter().any(|row| row.contains("Warning: hook /nonexistent/hook")));
    missing.submit("b");
    missing.wait_row("• b");
    missing.wait_ready();
    assert_eq!(missing.rows().iter().filter(|row| row.contains("Warning")).count(), 1);
    let stuck = home.script("stuck", "[ $1 = start ] && exec sleep 600; echo $1 >>\"$HOME/after\"");
    let stuck = home.ready(&[("PARROT_TURN_MS", "0")], &["--hook", stuck.to_str().unwrap()]);
    stuck.submit("c");
    stuck.wait_row("• c");
    stuck.wait("the hooks after it", || {
        (fs::read_to_string(home.path("after")).ok()? == "prompt\nstop\n").then_some(())
    });
}

#[test]
fn it_answers_a_peer_and_no_answers() {
    let home = Home::new();
    fs::create_dir(home.path("bin")).unwrap();
    let program = home.path("bin/iapeer-parrot");
    fs::copy(PARROT, &program).unwrap();
    home.script("bin/iapeer-send", "printf '%s\\n' \"$*\" >>\"$HOME/sent\"; cat >>\"$HOME/sent\"; echo >>\"$HOME/sent\"; [ $1 != eve ] || { echo 'refused: eve is stopped' >&2; exit 69; }");
    let pane = home.start_program(program.to_str().unwrap(), &[("PARROT_REPLY", "1"), ("PARROT_TURN_MS", "0")], &[]);
    pane.wait_ready();
    let letter = |from: &str, runtime: &str, body: &str| {
        format!(
            "<iap from-personality=\"{from}\" from-runtime=\"{runtime}\" topic=\"-t &amp; u\">\nIAP message from known peers.\n<message><![CDATA[{body}]]></message>\n</iap>"
        )
    };
    pane.submit(&letter("bob", "claude", "hello ]]]]><![CDATA[> there"));
    pane.wait_row("• replied to bob");
    pane.wait_ready();
    pane.submit(&letter("eve", "parrot", "psst"));
    pane.wait_row("• reply failed: refused: eve is stopped");
    pane.wait_ready();
    pane.submit(&letter("bob", "claude", "You said: x"));
    pane.wait_row("• You said: x");
    pane.wait_ready();
    pane.submit(&letter("iapeer", "system", "notice"));
    pane.wait_row("• notice");
    pane.wait_ready();
    assert_eq!(
        fs::read_to_string(home.path("sent")).unwrap(),
        "bob --runtime claude --topic=-t & u --no-wait -f -\nYou said: hello ]]> there\n\
         eve --runtime parrot --topic=-t & u --no-wait -f -\nYou said: psst\n"
    );
    assert_eq!(home.kinds().iter().filter(|kind| *kind == "turn_end").count(), 4);
}

#[test]
fn an_interrupt_ends_a_reply_that_hangs() {
    let home = Home::new();
    fs::create_dir(home.path("bin")).unwrap();
    let program = home.path("bin/iapeer-parrot");
    fs::copy(PARROT, &program).unwrap();
    home.script("bin/iapeer-send", "echo $$ >\"$HOME/sending\"; exec sleep 600");
    let pane = home.start_program(program.to_str().unwrap(), &[("PARROT_REPLY", "1"), ("PARROT_TURN_MS", "0")], &[]);
    pane.wait_ready();
    pane.submit("<iap from-personality=\"bob\" from-runtime=\"claude\">\n<message><![CDATA[hi]]></message>\n</iap>");
    let pid: i32 = pane.wait("the reply", || fs::read_to_string(home.path("sending")).ok()?.trim().parse().ok());
    pane.submit("meanwhile");
    pane.wait_row("  ⎿ Queued");
    pane.keys(&["Escape"]);
    pane.wait_row("• meanwhile");
    pane.wait("the end of the reply", || gone(pid).then_some(()));
    assert!(home.kinds().contains(&"interrupted".to_owned()));
}
