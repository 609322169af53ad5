//! A peer on a real program, and what the tests know of these programs.

use super::stub::Stub;
use crate::support::{Running, TestHome, wait_for, wait_until};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const KEY: &str = "sk-ant-api03-stub-0123456789abcdefghij";
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the tests know of a program.
pub struct Known {
    /// Where it keeps transcripts, below its home.
    pub transcripts: &'static str,
    /// What its screen shows once it answers.
    pub runs: &'static str,
    /// What its screen shows of an interrupted turn.
    pub interrupted: &'static str,
    /// What is said to it: set in its launch.env.
    pub env: &'static str,
}

pub fn known(runtime: &str) -> Known {
    let of = |transcripts, runs, interrupted, env| Known { transcripts, runs, interrupted, env };
    match runtime {
        "claude" => of(
            ".claude/projects",
            "esc to interrupt",
            "nterrupted",
            "IS_SANDBOX=1\nANTHROPIC_API_KEY=KEY\nANTHROPIC_BASE_URL=URL\n",
        ),
        "codex" => of(".codex/sessions", "w1", "nterrupted", "STUB_KEY=k\n"),
        "gemini" => of(".gemini/tmp", "w1", "Request cancelled", "GEMINI_API_KEY=k\nGOOGLE_GEMINI_BASE_URL=URL\n"),
        "qwen" => of(
            ".qwen/projects",
            "w1",
            "Request cancelled",
            "OPENAI_API_KEY=k\nOPENAI_BASE_URL=URL/v1\nOPENAI_MODEL=stub-model\n",
        ),
        "copilot" => of(
            ".copilot/session-state",
            "w1",
            "Operation cancelled",
            "COPILOT_OFFLINE=true\nCOPILOT_PROVIDER_BASE_URL=URL/v1\nCOPILOT_PROVIDER_TYPE=openai\n\
             COPILOT_PROVIDER_API_KEY=k\nCOPILOT_MODEL=stub-model\n",
        ),
        "opencode" => of(".local/share/opencode/iapeer", "w1", "interrupted", ""),
        "cline" => of(".cline/data/sessions", "w1", "cancelled", ""),
        other => panic!("{other} is not tried here"),
    }
}

/// A peer on a real program.
pub struct Agent {
    pub home: TestHome,
    pub stub: Stub,
    pub runtime: &'static str,
    pub identity: String,
}

impl Agent {
    /// A home where the program is set up (logged in, introduced) but has never seen the peer's folder. `None`
    /// where the programs are not installed.
    pub fn new(runtime: &'static str) -> Option<Agent> {
        let Some(dir) = std::env::var_os("IAPEER_AGENTS_DIR").map(PathBuf::from) else {
            eprintln!("the real {runtime} was NOT tried: `make test-agents` installs it and does");
            return None;
        };
        let home = TestHome::new();
        let stub = Stub::start(&home, runtime);
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
    pub fn create(&self, name: &str) {
        let Agent { home, stub, runtime, .. } = self;
        home.ok("iapeer", &["create", name, "--runtime", runtime]);
        let cwd = home.cwd(name);
        // Codex asks for trust in a repository only.
        assert!(Command::new("git").args(["init", "-q"]).arg(&cwd).status().unwrap().success());
        let folder = cwd.join(".iapeer/runtimes").join(runtime);
        fs::create_dir_all(&folder).unwrap();
        let url = format!("http://127.0.0.1:{}", stub.port);
        let env = known(runtime).env.replace("=KEY", &format!("={KEY}")).replace("=URL", &format!("={url}"));
        fs::write(folder.join("launch.env"), env).unwrap();
    }

    /// Sends `body`; what iapeer-send reported, which must be `delivered`.
    #[track_caller]
    pub fn send(&self, body: &str) -> Value {
        let sent = self.home.run("iapeer-send", &["ada", "--from", "op", "--json", "-m", body]);
        let report = sent.json();
        assert_eq!(report["outcome"], "delivered", "{report}\n{}", self.home.screen(&self.identity));
        report
    }

    /// The state that `iapeer list` shows.
    pub fn state(&self) -> String {
        let rows = self.home.ok("iapeer", &["list", "--json"]).json_lines();
        let row = rows.into_iter().find(|row| row["personality"] == "ada").expect("the peer is there");
        row["state"].as_str().unwrap().to_owned()
    }

    /// What the program's processes have in memory, what they share counted once (their PSS).
    pub fn memory_mb(&self) -> u64 {
        let pss = |pid: i32| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
        };
        let all = self.home.processes();
        let kb: u64 = all.iter().filter(|(_, name)| name.contains(self.runtime)).map(|(pid, _)| pss(*pid)).sum();
        kb / 1024
    }

    /// The main transcripts of the peer.
    pub fn transcripts(&self) -> Vec<PathBuf> {
        let dir = self.home.home().join(known(self.runtime).transcripts);
        let mut found = Vec::new();
        collect(&dir, &mut found);
        found
    }

    pub fn holds(&self, needle: &str) -> bool {
        self.transcripts().iter().any(|path| fs::read_to_string(path).unwrap_or_default().contains(needle))
    }

    /// Whether the model's answer has come to the end of these words. What opencode's plugin writes has no answers.
    pub fn has_answered(&self, words: &str) -> bool {
        self.holds(words) || (self.runtime == "opencode" && self.home.screen(&self.identity).contains(words))
    }

    #[track_caller]
    pub fn wait_idle(&self) {
        if self.runtime == "copilot" {
            // It tells of its turns by its screen alone.
            let shows = |mark: &str| self.home.screen(&self.identity).contains(mark);
            wait_until("the turn to end", PATIENCE, || {
                !shows(" Working ") && !shows("[pending") && shows("/ commands")
            });
            return;
        }
        if self.runtime == "cline" {
            // It has no hooks: its spinner tells.
            wait_until("the turn to end", PATIENCE, || {
                let screen = self.home.screen(&self.identity);
                let spins = |row: &str| row.trim_start().starts_with(|c| ('\u{2800}'..='\u{28ff}').contains(&c));
                screen.contains("(Shift+Tab)") && !screen.contains("Queued messages") && !screen.lines().any(spins)
            });
            return;
        }
        if matches!(self.runtime, "qwen" | "gemini") {
            // Their hooks tell of no end where a person has denied a tool.
            let shows = |mark: &str| self.home.screen(&self.identity).contains(mark);
            let works = || ["esc to cancel", "⏳", "Queued (press"].into_iter().any(shows);
            wait_until("the turn to end", PATIENCE, || !works() && shows("Type your message"));
            return;
        }
        let turn = self.home.state_dir().join(format!("{}.turn", self.identity));
        wait_until("the turn to end", PATIENCE, || {
            fs::read_to_string(&turn).is_ok_and(|text| text.contains("\"idle\""))
        });
    }
}

pub fn set_up(home: &TestHome, runtime: &str, port: u16) {
    let dir = home.home();
    if runtime == "claude" {
        let approved = &KEY[KEY.len() - 20..];
        let state = json!({"hasCompletedOnboarding": true,
            "customApiKeyResponses": {"approved": [approved], "rejected": []}});
        fs::write(dir.join(".claude.json"), state.to_string()).unwrap();
        return;
    }
    let own = |folder: &str, file: &str, text: Value| {
        fs::create_dir_all(dir.join(folder)).unwrap();
        fs::write(dir.join(folder).join(file), text.to_string()).unwrap();
    };
    match runtime {
        "gemini" => {
            return own(".gemini", "settings.json", json!({"security": {"auth": {"selectedType": "gemini-api-key"}}}));
        }
        "qwen" => {
            let auth = json!({"security": {"auth": {"selectedType": "openai"}}, "model": {"name": "stub-model"}});
            return own(".qwen", "settings.json", auth);
        }
        "cline" => {
            let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/runtimes/cline.json");
            fs::create_dir_all(home.root().join("runtimes/cline")).unwrap();
            fs::copy(example, home.root().join("runtimes/cline/runtime.json")).unwrap();
            let url = format!("http://127.0.0.1:{port}/v1");
            let settings =
                json!({"provider": "openai-compatible", "apiKey": "k", "model": "stub-model", "baseUrl": url});
            let provider = json!({"settings": settings, "updatedAt": "2026-11-27T00:00:00Z", "tokenSource": "manual"});
            let text = json!({"version": 1, "lastUsedProvider": "openai-compatible", "modes": {},
                "providers": {"openai-compatible": provider}});
            return own(".cline/data/settings", "providers.json", text);
        }
        "opencode" => {
            // It fetches a package for its plugins at each start, and tries that for a minute where there is no network.
            fs::write(dir.join(".npmrc"), "offline=true\nfetch-retries=0\n").unwrap();
            let options = json!({"baseURL": format!("http://127.0.0.1:{port}/v1"), "apiKey": "k"});
            let stub = json!({"npm": "@ai-sdk/openai-compatible", "name": "Stub", "options": options,
                "models": {"stub-model": {"name": "Stub"}}});
            let model = "stub/stub-model";
            let all = json!({"model": model, "small_model": model, "provider": {"stub": stub}});
            return own(".config/opencode", "opencode.json", all);
        }
        "copilot" => return fs::create_dir(dir.join(".copilot")).unwrap(),
        _ => {}
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

pub fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "jsonl") {
            found.push(path);
        }
    }
}

/// Repairs the runtime's manifest.
pub fn repair(agent: &Agent, patch: &Value) {
    let dir = agent.home.root().join("runtimes").join(agent.runtime);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("runtime.json"), patch.to_string()).unwrap();
}

/// Who waits for somebody.
pub fn waiting(home: &TestHome) -> Vec<Value> {
    home.run("iapeer", &["attention", "--json"]).json_lines()
}

#[track_caller]
pub fn in_state(agent: &Agent, state: &str) -> Value {
    wait_for(&format!("{} in state {state}", agent.runtime), PATIENCE, || {
        waiting(&agent.home).into_iter().find(|row| row["state"] == state)
    })
}

/// Has the profile of `name` say `word` for `key`.
pub fn says(home: &TestHome, name: &str, key: &str, word: &str) {
    let path = home.cwd(name).join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    profile[key] = word.into();
    fs::write(&path, profile.to_string()).unwrap();
}

impl Agent {
    /// A person at the agent's session: a terminal as large as the session's window that nobody types into. It is attached
    /// when this returns, until it is ended by a signal.
    pub fn attached(&self) -> Running {
        let Agent { home, identity, .. } = self;
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
        person
    }
}

/// A terminal for the command in its arguments.
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
