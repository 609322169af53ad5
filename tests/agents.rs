//! The real Codex and Claude Code against a stub of their APIs: woken, written to, interrupted, resumed.
//! `make test-agents` installs both and sets `IAPEER_AGENTS_DIR`; without it these tests say so and pass.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{TestHome, wait_for, wait_until};

const KEY: &str = "sk-ant-api03-stub-0123456789abcdefghij";
const PATIENCE: Duration = Duration::from_secs(30);

/// The stub of the models' APIs.
struct Stub {
    child: Child,
    port: u16,
    log: PathBuf,
    /// What it does about every request: `status`, `body`, `headers`.
    mode: PathBuf,
}

impl Stub {
    fn start(home: &TestHome) -> Stub {
        let (log, mode) = (home.dir().join("stub.log"), home.dir().join("stub.mode"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/model_stub.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args(["--port", "0", "--log"])
            .arg(&log)
            .arg("--mode")
            .arg(&mode)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there: tools/test-agents looked");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().trim_end_matches(')').rsplit(' ').next().unwrap().parse().unwrap();
        Stub { child, port, log, mode }
    }

    /// Answers every request from now on with this status; with none, as usual.
    fn fail(&self, status: Option<u16>) {
        // A context that is full is a bad request, told apart by its words (Anthropic) or its code (OpenAI).
        let (kind, words) = match status {
            Some(400) => ("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"),
            _ => ("x", "stub words"),
        };
        let body =
            json!({"type": "error", "error": {"type": kind, "message": words, "code": "context_length_exceeded"}});
        let mode = status.map_or(json!({}), |status| json!({"status": status, "body": body}));
        fs::write(self.mode.with_extension("new"), mode.to_string()).unwrap();
        fs::rename(self.mode.with_extension("new"), &self.mode).unwrap();
    }

    /// The last request, whole.
    fn last(&self) -> String {
        fs::read_to_string(self.mode.with_extension("mode.last")).unwrap_or_default()
    }

    /// The last request that carries `needle`, whole; empty where another one came since.
    fn whole(&self, needle: &str) -> String {
        let path = self.mode.with_extension("mode.tools");
        let mut last = String::new();
        wait_until(&format!("the whole request about {needle}"), PATIENCE, || {
            last = fs::read_to_string(&path).unwrap_or_default();
            last.contains(needle) && last.ends_with('}')
        });
        last
    }

    /// Every request so far.
    fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until the model was asked, with our tool at hand, about a message that carries `needle`.
    fn asked(&self, needle: &str) -> Value {
        wait_for(&format!("the model to be asked about {needle}"), PATIENCE, || {
            self.requests().into_iter().find(|request| {
                request["user"].as_str().is_some_and(|user| user.contains(needle))
                    && request["tools"].as_u64().is_some_and(|n| n > 0)
            })
        })
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A peer on a real program.
struct Agent {
    home: TestHome,
    stub: Stub,
    runtime: &'static str,
    identity: String,
}

impl Agent {
    /// A home where the program is set up (logged in, introduced) but has never seen the peer's folder. `None`
    /// where the programs are not installed.
    fn new(runtime: &'static str) -> Option<Agent> {
        let Some(dir) = std::env::var_os("IAPEER_AGENTS_DIR").map(PathBuf::from) else {
            eprintln!("the real {runtime} was NOT tried: `make test-agents` installs it and does");
            return None;
        };
        let home = TestHome::new();
        let stub = Stub::start(&home);
        let program = dir.join("node_modules/.bin").join(runtime);
        assert!(program.exists(), "{} is missing", program.display());
        home.set(&format!("IAPEER_{}_BIN", runtime.to_uppercase()), program);
        set_up(&home, runtime, stub.port);
        home.parrot("op", &[]);
        let agent = Agent { home, stub, runtime, identity: format!("{runtime}-ada") };
        agent.create("ada");
        Some(agent)
    }

    /// A peer on the program.
    fn create(&self, name: &str) {
        let Agent { home, stub, runtime, .. } = self;
        home.ok("iapeer", &["create", name, "--runtime", runtime]);
        let cwd = home.cwd(name);
        // Codex asks for trust in a repository only.
        assert!(Command::new("git").args(["init", "-q"]).arg(&cwd).status().unwrap().success());
        let folder = cwd.join(".iapeer/runtimes").join(runtime);
        fs::create_dir_all(&folder).unwrap();
        let env = format!(
            "IS_SANDBOX=1\nANTHROPIC_API_KEY={KEY}\nANTHROPIC_BASE_URL=http://127.0.0.1:{}\nSTUB_KEY=k\n",
            stub.port
        );
        fs::write(folder.join("launch.env"), env).unwrap();
    }

    /// Sends `body`; what iapeer-send reported, which must be `delivered`.
    #[track_caller]
    fn send(&self, body: &str) -> Value {
        let sent = self.home.run("iapeer-send", &["ada", "--from", "op", "--json", "-m", body]);
        let report = sent.json();
        assert_eq!(report["outcome"], "delivered", "{report}\n{}", self.home.screen(&self.identity));
        report
    }

    /// The main transcripts of the peer.
    fn transcripts(&self) -> Vec<PathBuf> {
        let dir = self.home.home().join(match self.runtime {
            "claude" => ".claude/projects",
            _ => ".codex/sessions",
        });
        let mut found = Vec::new();
        collect(&dir, &mut found);
        found
    }

    fn holds(&self, needle: &str) -> bool {
        self.transcripts().iter().any(|path| fs::read_to_string(path).unwrap_or_default().contains(needle))
    }

    #[track_caller]
    fn wait_idle(&self) {
        let turn = self.home.state_dir().join(format!("{}.turn", self.identity));
        wait_until("the turn to end", PATIENCE, || {
            fs::read_to_string(&turn).is_ok_and(|text| text.contains("\"idle\""))
        });
    }
}

fn set_up(home: &TestHome, runtime: &str, port: u16) {
    let dir = home.home();
    if runtime == "claude" {
        let approved = &KEY[KEY.len() - 20..];
        let state = json!({"hasCompletedOnboarding": true,
            "customApiKeyResponses": {"approved": [approved], "rejected": []}});
        fs::write(dir.join(".claude.json"), state.to_string()).unwrap();
        return;
    }
    fs::create_dir(dir.join(".codex")).unwrap();
    let config = format!(
        "model = \"stub-model\"\nmodel_provider = \"stub\"\ncheck_for_update_on_startup = false\n\
         [model_providers.stub]\nname = \"stub\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
         wire_api = \"responses\"\nenv_key = \"STUB_KEY\"\n"
    );
    fs::write(dir.join(".codex/config.toml"), config).unwrap();
    // A hook of the user's own that was never reviewed.
    let hook = json!({"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "true"}]}]}});
    fs::write(dir.join(".codex/hooks.json"), hook.to_string()).unwrap();
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "jsonl") {
            found.push(path);
        }
    }
}

/// A whole conversation, from the first dialog to the resume.
fn converse(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    let canaries = [
        ("CLAUDECODE", "1"),
        ("CLAUDE_CODE_SESSION_ID", "x"),
        ("TMUX", "/x,1,0"),
        ("CANARY_SECRET", "s3cret"),
        ("PEER_LAUNCH", "foreign"),
        ("PEER_IDENTITY", "parrot-op"),
    ];
    for (name, value) in canaries {
        home.set(name, value);
    }

    // Cold: trust, bypass and hooks dialogs stand in the way.
    let first = agent.send("hello one");
    assert_eq!((&first["woke"], &first["mode"]), (&json!(true), &json!("fresh")), "{first}");
    let id = first["id"].as_str().unwrap();
    let tools = stub.asked(id)["tool_names"].to_string();
    assert!(tools.contains("mcp__iapeer"), "the first message came before our tool: {tools}");
    agent.wait_idle();
    wait_until("the transcript to hold the envelope", PATIENCE, || agent.holds(id));

    // The session has nothing of the sender's.
    let pane = home.tmux(identity, &["display-message", "-p", "-t", &format!("={identity}:"), "#{pane_pid}"]).stdout;
    let environ = PathBuf::from(format!("/proc/{}/environ", pane.trim()));
    if let Ok(bytes) = fs::read(&environ) {
        let vars: Vec<String> = bytes.split(|b| *b == 0).map(|v| String::from_utf8_lossy(v).into_owned()).collect();
        assert!(vars.contains(&format!("PEER_IDENTITY={identity}")), "{vars:?}");
        for (name, value) in canaries {
            assert!(!vars.contains(&format!("{name}={value}")), "{name} reached the session");
        }
        let foreign = ["CLAUDECODE=", "CLAUDE_CODE_", "TMUX=", "TMUX_PANE=", "CANARY_SECRET="];
        assert!(vars.iter().all(|var| foreign.iter().all(|name| !var.starts_with(name))), "{vars:?}");
    }

    // Warm.
    let second = agent.send("hello two");
    assert_eq!(second["woke"], false, "{second}");
    stub.asked(second["id"].as_str().unwrap());
    agent.wait_idle();

    // The model calls our tool: a message like any other, from this peer.
    let ask = agent.send("SEND:op the tea is ready");
    wait_until("the agent's own message", PATIENCE, || home.bodies("op") == ["the tea is ready"]);
    let given = home.record("op")[0]["text"].as_str().unwrap().to_owned();
    assert!(given.contains(&format!("from-personality=\"ada\" from-runtime=\"{runtime}\"")), "{given}");
    wait_until("the model to be told so", PATIENCE, || {
        stub.requests().iter().any(|request| request["had_result"] == true)
    });
    stub.asked(ask["id"].as_str().unwrap());
    agent.wait_idle();

    // In mid-turn: neither lost, nor is the answer cut short.
    let slow = agent.send("SLOW:4 three");
    stub.asked(slow["id"].as_str().unwrap());
    let mid = agent.send("four, in mid-turn");
    stub.asked(mid["id"].as_str().unwrap());
    wait_until("the slow answer, whole", PATIENCE, || agent.holds("w6 w7"));
    agent.wait_idle();

    // Interrupt.
    let long = agent.send("SLOW:60 five");
    stub.asked(long["id"].as_str().unwrap());
    // The program asks its model before its screen says that a turn runs.
    let shown = if runtime == "claude" { "esc to interrupt" } else { "w1" };
    wait_until("the answer to begin", PATIENCE, || home.screen(identity).contains(shown));
    home.ok("iapeer", &["interrupt", "ada"]);
    wait_until("the interruption to show", PATIENCE, || home.screen(identity).contains("nterrupted"));

    // Reaped when it was idle, it goes on with the same conversation. A turn that was interrupted is over.
    home.set("IAPEER_IDLE_SECS", "2");
    wait_until("the idle reap", PATIENCE, || {
        home.ok("iapeer-superviser", &["--only", identity]);
        home.state(identity, "idle-reaped")
    });
    home.unset("IAPEER_IDLE_SECS");
    let after = agent.send("after the reap");
    assert_eq!((&after["woke"], &after["mode"]), (&json!(true), &json!("resume")), "{after}");
    let last = after["id"].as_str().unwrap();
    stub.asked(last);
    agent.wait_idle();
    let both = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.contains(id) && text.contains(last)
    };
    wait_until("one file to hold the first and the last message", PATIENCE, || agent.transcripts().iter().any(both));

    // The user's own files know nothing of us.
    for file in [".codex/config.toml", ".codex/hooks.json", ".claude/settings.json", ".claude.json"] {
        let text = fs::read_to_string(home.home().join(file)).unwrap_or_default();
        assert!(!text.contains("iapeer-turn") && !text.contains("iapeer-mcp"), "{file}: {text}");
    }
    home.ok("iapeer-reap", &[identity]);
}

#[test]
fn claude_converses() {
    converse("claude");
}

#[test]
fn codex_converses() {
    converse("codex");
}

/// What came into the program's own queue in mid-turn is ours until a turn takes it: where the program is killed before,
/// it is handed over again, marked; and what is urgent does not wait behind it.
fn loses_nothing_that_it_queued(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    home.set("IAPEER_CRASHLOOP_MAX", "1000");
    agent.send("hello one");
    agent.wait_idle();
    let rounds = std::env::var("IAPEER_AGENTS_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let slow = agent.send(&format!("SLOW:60 slow {round}"));
        stub.asked(slow["id"].as_str().unwrap());
        let queued = |n: u32| {
            let body = format!("round {round}, queued {n}");
            let sent = home.run("iapeer-send", &["ada", "--from", "op", "--wait", "2", "--json", "-m", &body]).json();
            assert_eq!(sent["outcome"], "queued", "{sent}\n{}", home.screen(identity));
            assert!(sent["reason"].as_str().unwrap().contains("in its own queue"), "{sent}");
            sent["id"].as_str().unwrap().to_owned()
        };
        let ids: Vec<String> = (0..3).map(queued).collect();
        assert_eq!(home.queue(identity), (0, 3, 0));
        let pane =
            home.tmux(identity, &["display-message", "-p", "-t", &format!("={identity}:"), "#{pane_pid}"]).stdout;
        let pane = nix::unistd::Pid::from_raw(pane.trim().parse().unwrap());
        nix::sys::signal::kill(pane, nix::sys::signal::Signal::SIGKILL).unwrap();
        wait_until("all of them to be delivered", 2 * PATIENCE, || {
            home.ok("iapeer-superviser", &["--only", identity]);
            home.queue(identity) == (0, 0, 0)
        });
        agent.wait_idle();
        let asked = stub.requests();
        for id in &ids {
            stub.asked(id);
            let times = asked.iter().filter(|request| {
                request["tools"] != 0
                    && request["allparts"].as_array().is_none_or(|parts| !parts.is_empty())
                    && request["user"].as_str().is_some_and(|user| user.contains(id))
            });
            let unmarked = times.filter(|request| !request["user"].as_str().unwrap().contains("redelivered"));
            assert!(unmarked.count() <= 1, "{id} came twice unmarked");
        }
    }
    // One in the program's queue, and another that is urgent.
    let slow = agent.send("SLOW:60 slow");
    stub.asked(slow["id"].as_str().unwrap());
    let shown = if runtime == "claude" { "esc to interrupt" } else { "w1" };
    wait_until("the answer to begin", PATIENCE, || home.screen(identity).contains(shown));
    let first = home.run("iapeer-send", &["ada", "--from", "op", "--wait", "2", "--json", "-m", "in its queue"]).json();
    assert_eq!(first["outcome"], "queued", "{first}");
    let urgent = ["ada", "--from", "op", "--urgent", "--wait", "10", "--json", "-m", "now"];
    let urgent = home.run("iapeer-send", &urgent).json();
    assert_eq!(urgent["outcome"], "delivered", "{urgent}\n{}", home.screen(identity));
    stub.asked(urgent["id"].as_str().unwrap());
    wait_until("the other one too", PATIENCE, || home.queue(identity) == (0, 0, 0));
    agent.wait_idle();
    home.ok("iapeer-reap", &[identity]);
}

#[test]
fn claude_loses_nothing_that_it_queued() {
    loses_nothing_that_it_queued("claude");
}

#[test]
fn codex_loses_nothing_that_it_queued() {
    loses_nothing_that_it_queued("codex");
}

/// A script asks and has the answer, which the model sends with the tool, naming the question.
fn asks(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    let ask = |question: &str| home.ok("iapeer-send", &["ada", "--ask", "-m", question, "--wait", "60"]);
    let asked = ask("2+2?");
    assert_eq!(asked.stdout, "4\n", "{asked}");
    assert!(asked.stderr.starts_with(&format!("delivered to {identity} (woke: fresh")), "{asked}");
    // Once more, of a session that is up.
    agent.wait_idle();
    let asked = ask("20+3?");
    assert_eq!(asked.stdout, "23\n", "{asked}");
    home.at_rest("person-me");
    // Each has been read, and answers its own question.
    assert!(home.ok("iapeer", &["inbox", "--json"]).stdout.is_empty());
    let letters = home.ok("iapeer", &["inbox", "--all", "--json"]).json_lines();
    let bodies: Vec<&Value> = letters.iter().map(|letter| &letter["body"]).collect();
    assert_eq!(bodies, [&json!("4"), &json!("23")]);
    for letter in &letters {
        let question = letter["re"].as_str().unwrap();
        assert_eq!(letter["from"], identity.as_str());
        stub.asked(question);
    }
    assert_ne!(letters[0]["re"], letters[1]["re"]);
    agent.wait_idle();
    home.ok("iapeer-reap", &[identity]);
}

#[test]
fn claude_answers_a_script_that_asks() {
    asks("claude");
}

#[test]
fn codex_answers_a_script_that_asks() {
    asks("codex");
}

/// A terminal as large as a session's window that nobody types into, for the command in its arguments.
const TERMINAL: &str = "
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 50, 220, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
try:
    while os.read(fd, 65536): pass
except OSError: pass
";

/// Drafts, an urgent message, a compaction.
fn has_manners(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    let target = format!("={identity}:");
    let shows_draft = || wait_until("the draft to show", PATIENCE, || home.screen(identity).contains("half a thought"));
    agent.send("hello one");
    agent.wait_idle();
    agent.send("hello two");
    agent.wait_idle();

    home.ok("iapeer", &["compact", "ada"]);
    let three = agent.send("hello three");
    stub.asked(three["id"].as_str().unwrap());
    agent.wait_idle();

    // Nobody is there: what was left in the composer makes way, is no part of the message, and is put back after it.
    home.tmux(identity, &["send-keys", "-t", &target, "-l", "half a thought"]);
    shows_draft();
    let four = agent.send("hello four");
    stub.asked(four["id"].as_str().unwrap());
    agent.wait_idle();

    // Somebody is: the message waits, the draft stays.
    let mut attach = home.cmd("python3");
    attach
        .args(["-c", TERMINAL, "tmux", "-S"])
        .arg(home.sockets().join(format!("tmux-iap-{identity}.sock")))
        .args(["attach", "-t", &format!("={identity}")])
        .env("TERM", "xterm-256color");
    let person = home.start(attach, None);
    wait_until("the terminal", PATIENCE, || {
        home.tmux(identity, &["list-clients", "-F", "#{client_pid}"]).stdout.trim().parse::<i32>().is_ok()
    });
    shows_draft();
    let held = home.run("iapeer-send", &["ada", "--from", "op", "--wait", "2", "--json", "-m", "hello five"]).json();
    assert_eq!(held["outcome"], "queued", "{held}");
    assert!(home.screen(identity).contains("half a thought"), "{}", home.screen(identity));
    for _ in 0.."half a thought".len() {
        home.tmux(identity, &["send-keys", "-t", &target, "BSpace"]);
    }
    wait_until("the message to go in", PATIENCE, || {
        home.ok("iapeer-drain", &[identity]);
        home.queue(identity) == (0, 0, 0)
    });
    stub.asked(held["id"].as_str().unwrap());
    agent.wait_idle();
    person.signal(nix::sys::signal::Signal::SIGTERM);
    let merged: Vec<Value> =
        stub.requests().into_iter().filter(|request| request.to_string().contains("half a thought")).collect();
    assert!(merged.is_empty(), "a draft went along: {merged:?}");

    // Urgent: a minute's answer is cut short.
    let long = agent.send("SLOW:60 six");
    stub.asked(long["id"].as_str().unwrap());
    let shown = if runtime == "claude" { "esc to interrupt" } else { "w1" };
    wait_until("the answer to begin", PATIENCE, || home.screen(identity).contains(shown));
    let urgent = home.run("iapeer-send", &["ada", "--from", "op", "--urgent", "--json", "-m", "seven"]).json();
    assert_eq!(urgent["outcome"], "delivered", "{urgent}");
    let id = urgent["id"].as_str().unwrap();
    stub.asked(id);
    agent.wait_idle();
    let asked = |request: &&Value| request["tools"] != 0 && request["user"].as_str().is_some_and(|t| t.contains(id));
    assert_eq!(stub.requests().iter().filter(asked).count(), 1, "the model was asked once");
    home.ok("iapeer-reap", &[identity]);
}

#[test]
fn claude_has_manners() {
    has_manners("claude");
}

#[test]
fn codex_has_manners() {
    has_manners("codex");
}

/// Repairs the runtime's manifest.
fn repair(agent: &Agent, patch: &Value) {
    let dir = agent.home.root().join("runtimes").join(agent.runtime);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("runtime.json"), patch.to_string()).unwrap();
}

/// Who waits for somebody.
fn waiting(home: &TestHome) -> Vec<Value> {
    home.run("iapeer", &["attention", "--json"]).json_lines()
}

#[track_caller]
fn in_state(agent: &Agent, state: &str) -> Value {
    wait_for(&format!("{} in state {state}", agent.runtime), PATIENCE, || {
        waiting(&agent.home).into_iter().find(|row| row["state"] == state)
    })
}

/// Has the profile of `name` say `word` for `key`.
fn says(home: &TestHome, name: &str, key: &str, word: &str) {
    let path = home.cwd(name).join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    profile[key] = word.into();
    fs::write(&path, profile.to_string()).unwrap();
}

/// Whether files from outside the folder are imported is answered as the profile says, and said in the log.
#[test]
fn claude_imports_what_the_profile_allows() {
    let Some(agent) = Agent::new("claude") else { return };
    let Agent { home, stub, .. } = &agent;
    let outside = home.home().join("outside.md");
    fs::write(&outside, "Be kind to parrots.\n").unwrap();
    for (name, word) in [("ada", None), ("eve", Some("allow")), ("joe", Some("ask"))] {
        if name != "ada" {
            agent.create(name);
        }
        if let Some(word) = word {
            says(home, name, "imports", word);
        }
        fs::write(home.cwd(name).join("CLAUDE.md"), format!("@{}\n", outside.display())).unwrap();
        let sent = home.run("iapeer-send", &[name, "--from", "op", "--json", "-m", "hello"]).json();
        let identity = format!("claude-{name}");
        if word == Some("ask") {
            assert_eq!(sent["outcome"], "queued", "{sent}");
            assert!(sent["reason"].as_str().unwrap().contains("say \"imports\""), "{sent}");
            continue;
        }
        assert_eq!(sent["outcome"], "delivered", "{sent}\n{}", home.screen(&identity));
        stub.asked(sent["id"].as_str().unwrap());
        let imported = stub.whole(sent["id"].as_str().unwrap()).contains("Be kind to parrots.");
        assert_eq!(imported, word == Some("allow"), "{name}");
        let log = home.log("lifecycle.log");
        let mine = log.iter().filter(|line| line.get("identity").is_some_and(|found| *found == identity));
        let wake = mine.clone().find(|line| line["ev"] == "wake").unwrap();
        assert_eq!(wake["dialogs"], format!("imports={}", word.unwrap_or("deny")));
        let answer = mine.clone().find(|line| line["ev"] == "dialog" && line["dialog"] == "imports").unwrap();
        assert!(answer["answer"].contains("external imports"), "{answer:?}");
        home.ok("iapeer-reap", &[&identity]);
    }
}

/// A tool that waits for yes or no is answered from outside, and runs or does not.
fn asks_before_it_acts(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    says(home, "ada", "approvals", "ask");
    let touched = home.home().join("touched");
    let command = format!("touch {}", touched.display());
    for (word, message) in [("deny", Some("not-on-a-friday")), ("allow", None)] {
        agent.send(&format!("ESCALATE TOOL:{command}"));
        let row = in_state(&agent, "approval");
        assert!(row["text"].as_str().unwrap().contains(&command) && row["evidence"] == "hook", "{row}");
        assert!(row["tool"].is_string() && row["id"].is_string(), "{row}");
        let why: Vec<&str> = message.iter().flat_map(|message| ["-m", message]).collect();
        home.ok("iapeer", &[&["answer", "ada", row["id"].as_str().unwrap(), word], &why[..]].concat());
        wait_until("the approval's end", PATIENCE, || waiting(home).is_empty());
        agent.wait_idle();
        assert_eq!(touched.exists(), word == "allow", "{}", home.screen(identity));
        if let Some(message) = message {
            assert!(stub.last().contains(message), "the model was not told why");
        }
    }
    // What it says to its peers is not asked about.
    agent.send("SEND:op hello from ada");
    wait_until("its word", PATIENCE, || home.bodies("op") == ["hello from ada"]);
    assert!(waiting(home).is_empty());
    // Without the hook the program asks on its own screen, and is answered there.
    fs::remove_file(&touched).unwrap();
    agent.wait_idle();
    agent.send(&format!("ESCALATE TOOL:{command}"));
    in_state(&agent, "approval");
    let file = home.state_dir().join(format!("{identity}.attention"));
    let pid = serde_json::from_slice::<Value>(&fs::read(file).unwrap()).unwrap()["hook"]["pid"].as_i64().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_until("the screen to ask", PATIENCE, || {
        waiting(home).iter().any(|row| row["evidence"] == "screen" && !row["answers"].as_array().unwrap().is_empty())
    });
    assert!(!touched.exists(), "nothing was allowed");
    home.ok("iapeer", &["answer", "ada", "allow"]);
    wait_until("the tool to run", PATIENCE, || touched.exists());
    wait_until("the approval's end", PATIENCE, || waiting(home).is_empty());
    home.ok("iapeer-reap", &[identity]);
}

#[test]
fn claude_asks_before_it_acts() {
    asks_before_it_acts("claude");
}

#[test]
fn codex_asks_before_it_acts() {
    asks_before_it_acts("codex");
}

/// A turn that fails is over, and said so in the program's words, until the next one succeeds.
fn says_what_failed(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    // Nobody waits for retries.
    if runtime == "claude" {
        let path = home.cwd("ada").join(".iapeer/runtimes/claude/launch.env");
        let env = fs::read_to_string(&path).unwrap() + "CLAUDE_CODE_MAX_RETRIES=0\n";
        fs::write(path, env).unwrap();
    } else {
        let path = home.home().join(".codex/config.toml");
        let config = fs::read_to_string(&path).unwrap() + "request_max_retries = 0\nstream_max_retries = 0\n";
        fs::write(path, config).unwrap();
    }
    agent.send("hello one");
    agent.wait_idle();
    for (status, state) in [(529, "failing"), (500, "failing"), (400, "failing"), (401, "login"), (429, "limited")] {
        stub.fail(Some(status));
        agent.send(&format!("fails with {status}"));
        let row = in_state(&agent, state);
        eprintln!("{runtime} {status}: {row}");
        assert!(!row["text"].as_str().unwrap().is_empty(), "{row}");
        // It is over: neither busy nor to be interrupted.
        let interrupted = home.run("iapeer", &["interrupt", "ada"]);
        assert_eq!(interrupted.code, 69, "{interrupted}");
        stub.fail(None);
        home.set("IAPEER_LIMIT_LOOK_SECS", "0.1");
        // A limit and a login hold what waits until it is time to try again.
        home.ok("iapeer-send", &["ada", "--from", "op", "--no-wait", "-m", "and again"]);
        wait_until("the next message to go in", PATIENCE, || {
            home.ok("iapeer-drain", &[identity]);
            home.queue(identity) == (0, 0, 0)
        });
        wait_until("its end", PATIENCE, || waiting(home).is_empty());
        agent.wait_idle();
        home.unset("IAPEER_LIMIT_LOOK_SECS");
    }
    home.ok("iapeer-reap", &[identity]);
}

#[test]
fn claude_says_what_failed() {
    says_what_failed("claude");
}

#[test]
fn codex_says_what_failed() {
    says_what_failed("codex");
}

/// However long its servers take to start, the model is never asked without our tool.
#[test]
fn claude_waits_for_a_slow_tool() {
    let Some(agent) = Agent::new("claude") else { return };
    let slow = agent.home.dir().join("slow-mcp");
    let script = format!("#!/bin/sh\nsleep 1.5\nexec {}\n", support::bin("iapeer-mcp").display());
    fs::write(&slow, script).unwrap();
    fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    repair(&agent, &json!({"files": {"mcp": {"mcpServers": {"iapeer": {"command": slow}}}}}));
    let first = agent.send("hello one");
    let tools = agent.stub.asked(first["id"].as_str().unwrap())["tool_names"].to_string();
    assert!(tools.contains("mcp__iapeer"), "{tools}");
    agent.wait_idle();
    agent.home.ok("iapeer-reap", &[&agent.identity]);
}

/// Where an operator wants the user's own hooks reviewed, the dialog is answered, without trusting them.
#[test]
fn codex_hooks_dialog_is_answered() {
    let Some(agent) = Agent::new("codex") else { return };
    repair(&agent, &json!({"groups": {"hooks": []}, "turns": false}));
    let first = agent.send("hello one");
    agent.stub.asked(first["id"].as_str().unwrap());
    let seen = fs::read(agent.home.root().join(format!("logs/lifecycle/{}.log", agent.identity))).unwrap();
    assert!(String::from_utf8_lossy(&seen).contains("Hooks need review"), "the dialog was not in the way");
    let config = fs::read_to_string(agent.home.home().join(".codex/config.toml")).unwrap();
    assert!(!config.contains("trusted_hash"), "{config}");
    agent.home.ok("iapeer-reap", &[&agent.identity]);
}

/// `make bench-agents`: milliseconds from accept to evidence.
#[test]
fn figures() {
    if std::env::var_os("IAPEER_BENCH_AGENTS").is_none() {
        return;
    }
    for runtime in ["claude", "codex"] {
        let Some(agent) = Agent::new(runtime) else { return };
        // The first wake answers the dialogs: it is no figure.
        agent.send("warm the caches");
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        for round in 0..5 {
            agent.wait_idle();
            agent.home.ok("iapeer-reap", &[&agent.identity, "--no-park"]);
            cold.push(agent.send(&format!("cold {round}"))["ms"].as_u64().unwrap());
            for turn in 0..3 {
                agent.wait_idle();
                warm.push(agent.send(&format!("warm {round} {turn}"))["ms"].as_u64().unwrap());
            }
        }
        cold.sort_unstable();
        warm.sort_unstable();
        let show = |what: &str, all: &[u64], limit: u64| {
            println!("{runtime:7} {what}: median {} ms (limit {limit}), all {all:?}", all[all.len() / 2]);
        };
        show("cold wake to evidence", &cold, 1500);
        show("warm delivery to evidence", &warm, 300);
        agent.home.ok("iapeer-reap", &[&agent.identity]);
    }
}

/// Where nobody has logged in, the wake fails and says what to do, and the message waits.
fn needs_a_login(runtime: &'static str, wanted: &str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    fs::write(home.cwd("ada").join(".iapeer/runtimes").join(runtime).join("launch.env"), "IS_SANDBOX=1\n").unwrap();
    if runtime == "codex" {
        fs::remove_file(home.home().join(".codex/config.toml")).unwrap();
    }
    let sent = home.run("iapeer-send", &["ada", "--from", "op", "--wait", "20", "--json", "-m", "hello"]).json();
    assert_eq!(sent["outcome"], "queued", "{sent}");
    assert!(sent["reason"].as_str().is_some_and(|reason| reason.contains(wanted)), "{sent}");
    home.at_rest(identity);
    assert_eq!((home.queue(identity), stub.requests().len()), ((1, 0, 0), 0));
    assert!(home.server_pid(identity).is_none(), "what is left of a failed wake is ended");
}

#[test]
fn claude_needs_a_login() {
    needs_a_login("claude", "run claude once in a terminal and log in");
}

#[test]
fn codex_needs_a_login() {
    needs_a_login("codex", "run codex login in a terminal");
}
