//! The real Claude Code and Codex with their own memory switched off, with an MCP server of the user's enabled, and a
//! parked one compacted. `tools/test-agents` installs both and sets `IAPEER_AGENTS_DIR`; without it these tests say so and pass.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{TestHome, wait_until};

const KEY: &str = "sk-ant-api03-stub-0123456789abcdefghij";
const PATIENCE: Duration = Duration::from_secs(60);

/// The stub of the models' APIs, ended when this is dropped.
struct ModelStub {
    child: Child,
    port: u16,
    log: PathBuf,
    mode: PathBuf,
}

impl ModelStub {
    fn start(home: &TestHome) -> ModelStub {
        let (log, mode) = (home.dir().join("stub.log"), home.dir().join("stub.mode"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/model_stub.py");
        let mut command = Command::new("python3");
        command.arg(script).args(["--port", "0", "--log"]).arg(&log).arg("--mode").arg(&mode).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 is there: tools/test-agents looked");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().trim_end_matches(')').rsplit(' ').next().unwrap().parse().unwrap();
        ModelStub { child, port, log, mode }
    }

    /// Whether the model was told of the server `name` in the last request that has tools; a program may defer tools,
    /// and then tells their names alone.
    fn knows(&self, name: &str) -> bool {
        let last = fs::read_to_string(self.mode.with_extension("mode.tools")).unwrap_or_default();
        last.contains(&format!("mcp__{name}"))
    }

    fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for ModelStub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A home with a peer ada on the program, set up and logged in. `None` where the programs are not installed.
fn set_up(runtime: &str) -> Option<(TestHome, ModelStub)> {
    let Some(dir) = std::env::var_os("IAPEER_AGENTS_DIR").map(PathBuf::from) else {
        eprintln!("the real {runtime} was NOT tried: `make test-agents` installs it and does");
        return None;
    };
    let home = TestHome::new();
    let stub = ModelStub::start(&home);
    home.set(&format!("IAPEER_{}_BIN", runtime.to_uppercase()), dir.join("node_modules/.bin").join(runtime));
    let server = json!({"type": "stdio", "command": support::bin("iapeer-mcp"), "args": []});
    if runtime == "claude" {
        let state = json!({"hasCompletedOnboarding": true, "mcpServers": {"notes": server},
            "customApiKeyResponses": {"approved": [&KEY[KEY.len() - 20..]], "rejected": []}});
        fs::write(home.home().join(".claude.json"), state.to_string()).unwrap();
    } else {
        fs::create_dir(home.home().join(".codex")).unwrap();
        let config = format!(
            "model = \"stub-model\"\nmodel_provider = \"stub\"\ncheck_for_update_on_startup = false\n\
             [model_providers.stub]\nname = \"stub\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n\
             wire_api = \"responses\"\nenv_key = \"STUB_KEY\"\n\
             [mcp_servers.notes]\ncommand = {}\nenabled = false\n",
            stub.port, server["command"]
        );
        fs::write(home.home().join(".codex/config.toml"), config).unwrap();
    }
    home.parrot("op", &[]);
    home.ok("iapeer", &["create", "ada", "--runtime", runtime]);
    let folder = home.cwd("ada").join(".iapeer/runtimes").join(runtime);
    fs::create_dir_all(&folder).unwrap();
    let env = format!(
        "IS_SANDBOX=1\nANTHROPIC_API_KEY={KEY}\nANTHROPIC_BASE_URL=http://127.0.0.1:{}\nSTUB_KEY=k\n",
        stub.port
    );
    fs::write(folder.join("launch.env"), env).unwrap();
    Some((home, stub))
}

/// Sends a message, which wakes ada, and waits for the end of the turn in which the model was asked about it.
fn turn(home: &TestHome, stub: &ModelStub, identity: &str, body: &str) {
    let sent = home.run("iapeer-send", &["ada", "--from", "op", "--json", "-m", body]).json();
    assert_eq!(sent["outcome"], "delivered", "{sent}\n{}", home.screen(identity));
    let id = sent["id"].as_str().unwrap().to_owned();
    let asked = |request: &Value| request["user"].as_str().is_some_and(|user| user.contains(&id));
    wait_until("the model to be asked", PATIENCE, || stub.requests().iter().any(asked));
    let turn = home.state_dir().join(format!("{identity}.turn"));
    wait_until("the turn's end", PATIENCE, || fs::read_to_string(&turn).is_ok_and(|text| text.contains("\"idle\"")));
}

/// The words of `/proc/PID/name` of the pane's program and, where there is one, of the app-server beside it.
fn of_its_programs(home: &TestHome, identity: &str, name: &str) -> Vec<String> {
    let pane = home.session_json(identity).unwrap()["pane"]["pid"].to_string();
    let socket = format!("{}/socks/app-iap-{identity}.sock", home.root().display());
    let read = |pid: &str, name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let pids = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let own = pids.filter(|pid| *pid == pane || String::from_utf8_lossy(&read(pid, "cmdline")).contains(&socket));
    let words = own.map(|pid| String::from_utf8_lossy(&read(&pid, name)).into_owned());
    words.flat_map(|words| words.split('\0').map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn is_given_what_was_enabled(runtime: &str, switch: (&str, &str)) {
    let Some((home, stub)) = set_up(runtime) else { return };
    let identity = format!("{runtime}-ada");
    turn(&home, &stub, &identity, "hello one");
    assert!(stub.knows("iapeer") && !stub.knows("notes"));
    assert!(!of_its_programs(&home, &identity, switch.0).iter().any(|word| word == switch.1));
    home.ok("iapeer-reap", &["ada", "--no-park"]);
    home.ok("iapeer", &["native-memory", "off", "ada"]);
    let unknown = home.run("iapeer", &["enable", "nobody-knows", "ada"]);
    assert!(unknown.code == 66, "{unknown}");
    home.ok("iapeer", &["enable", "notes", "ada"]);
    // The program may ask its model before every server has started: the second turn has them all.
    turn(&home, &stub, &identity, "hello two");
    turn(&home, &stub, &identity, "hello three");
    assert!(stub.knows("iapeer") && stub.knows("notes"), "{}", home.screen(&identity));
    assert!(of_its_programs(&home, &identity, switch.0).iter().any(|word| word == switch.1));
    // A parked one is resumed for a compaction.
    home.ok("iapeer-reap", &["ada"]);
    let compacted = home.ok("iapeer", &["compact", "ada"]).stdout;
    assert_eq!(compacted, format!("compact → ada ({runtime}) after resume\n"));
    home.ok("iapeer-reap", &["ada"]);
}

#[test]
fn claude_is_given_what_was_enabled() {
    is_given_what_was_enabled("claude", ("environ", "CLAUDE_CODE_DISABLE_AUTO_MEMORY=1"));
}

#[test]
fn codex_is_given_what_was_enabled() {
    is_given_what_was_enabled("codex", ("cmdline", "features.memories=false"));
}

#[test]
fn claude_is_given_the_servers_that_a_plugins_folder_brings() {
    let Some((home, stub)) = set_up("claude") else { return };
    let folder = home.home().join("lint");
    fs::create_dir_all(folder.join(".claude-plugin")).unwrap();
    fs::write(folder.join(".claude-plugin/plugin.json"), json!({"name": "lint", "version": "1.0.0"}).to_string())
        .unwrap();
    std::os::unix::fs::symlink(support::bin("iapeer-mcp"), folder.join("server")).unwrap();
    let own = json!({"mcpServers": {"words": {"command": "${CLAUDE_PLUGIN_ROOT}/server", "args": []}}});
    fs::write(folder.join(".mcp.json"), own.to_string()).unwrap();
    home.ok("iapeer", &["enable", folder.to_str().unwrap(), "ada"]);
    turn(&home, &stub, "claude-ada", "hello one");
    // The program may ask its model before every server has started.
    turn(&home, &stub, "claude-ada", "hello two");
    assert!(stub.knows("iapeer") && stub.knows("plugin_lint_words"), "{}", home.screen("claude-ada"));
    home.ok("iapeer-reap", &["ada"]);
}
