//! What the figures are measured in: a throw-away root with its own home, and peers in it.

use crate::{BODY, number};
use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A throw-away root with its own home.
pub struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    pub fn new() -> Bed {
        let dir = tempfile::Builder::new().prefix("iap-bench.").tempdir_in("/tmp").expect("a temporary folder");
        for name in ["root", "home"] {
            fs::DirBuilder::new().mode(0o700).create(dir.path().join(name)).expect("a folder");
        }
        Bed { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, program: &str) -> Command {
        let bin = Path::new(env!("CARGO_BIN_EXE_iapeer")).parent().expect("a program lives in a folder");
        let beside = bin.join(program);
        let mut command = Command::new(if beside.exists() { beside } else { program.into() });
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("LC_ALL", "C.UTF-8")
            .env("IAPEER_ROOT", self.path("root"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    pub fn run(&self, program: &str, arguments: &[&str]) {
        let status = self.command(program).args(arguments).status().expect(program);
        assert!(status.success(), "{program} {arguments:?}: {status}");
    }

    pub fn feed(&self, command: &mut Command, text: &str) {
        let mut child = command.stdin(Stdio::piped()).spawn().expect("a program");
        child.stdin.take().expect("its stdin").write_all(text.as_bytes()).expect("to feed it");
        assert!(child.wait().expect("to wait").success());
    }

    /// Sends a message from alice to bob and does not wait for what becomes of it.
    pub fn accept(&self) {
        self.feed(self.command("iapeer-send").args(["bob", "--from", "alice", "--no-wait"]), BODY);
    }

    pub fn parrot(&self, name: &str, environment: &str) {
        self.run("iapeer", &["create", name, "--runtime", "parrot"]);
        self.parrot_env(name, environment);
    }

    /// What the parrot of an existing peer is started with.
    pub fn parrot_env(&self, name: &str, environment: &str) {
        let folder = self.path(&format!("root/peers/{name}/.iapeer/runtimes/parrot"));
        fs::create_dir_all(&folder).expect("a folder");
        let record = self.path(&format!("{name}.record"));
        fs::write(
            folder.join("launch.env"),
            format!("PARROT_TURN_MS=0\nPARROT_RECORD={}\n{environment}", record.display()),
        )
        .expect("launch.env");
    }

    /// Lines that a parrot has recorded.
    pub fn recorded(&self, name: &str) -> usize {
        fs::read_to_string(self.path(&format!("{name}.record"))).map_or(0, |text| text.lines().count())
    }

    /// Whether the agent's hooks say that its turn is over.
    pub fn is_idle(&self, identity: &str) -> bool {
        let turn = self.path(&format!("root/state/lifecycle/{identity}.turn"));
        fs::read_to_string(turn).is_ok_and(|text| text.contains("idle"))
    }

    pub fn socket(&self, identity: &str) -> String {
        self.path(&format!("root/socks/tmux-iap-{identity}.sock")).display().to_string()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let sockets: Vec<_> = fs::read_dir(self.path("root/socks")).into_iter().flatten().flatten().collect();
        // Stopping thousands that sleep would take minutes.
        if !sockets.is_empty() {
            let _ = self.command("iapeer").args(["stop", "--all"]).stderr(Stdio::null()).status();
        }
        for entry in sockets {
            let _ = self.command("tmux").arg("-S").arg(entry.path()).arg("kill-server").stderr(Stdio::null()).status();
        }
    }
}

/// Peers that sleep, as they are after a reap: each has a parking mark, topics and an empty queue. How many.
pub fn sleepers(bed: &Bed) -> usize {
    let asleep = number("IAPEER_BENCH_ASLEEP", 200);
    bed.parrot("p0", "");
    bed.parrot("alice", "");
    bed.run("iapeer-send", &["p0", "--from", "alice", "-m", "wake up", "--topic", "t"]);
    bed.run("iapeer-reap", &["parrot-p0"]);
    copies(bed, asleep);
    asleep
}

/// Makes `count` peers of the sleeping one, p0.
fn copies(bed: &Bed, count: usize) {
    let state = bed.path("root/state/lifecycle");
    let registry = bed.path("root/peers-profiles.json");
    let text = fs::read_to_string(&registry).expect("the registry");
    let mut json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let records = match &mut json {
        serde_json::Value::Array(records) => records,
        json => json["peers"].as_array_mut().expect("the registry's list"),
    };
    let template = records.iter().find(|record| record["personality"] == "p0").expect("p0's record").to_string();
    let copy_of = |text: &str, n: usize| {
        text.replace("/p0\"", &format!("/p{n}\""))
            .replace("\"p0\"", &format!("\"p{n}\""))
            .replace("parrot-p0", &format!("parrot-p{n}"))
    };
    let names: Vec<String> = fs::read_dir(&state)
        .expect("the state folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("parrot-p0."))
        .collect();
    let profile = fs::read_to_string(bed.path("root/peers/p0/.iapeer/peer-profile.json")).expect("a profile");
    for n in 1..count {
        records.push(serde_json::from_str(&copy_of(&template, n)).expect("JSON"));
        let folder = bed.path(&format!("root/peers/p{n}/.iapeer"));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("peer-profile.json"), copy_of(&profile, n)).expect("a profile");
        for name in &names {
            let to = state.join(name.replace("parrot-p0.", &format!("parrot-p{n}.")));
            match fs::read_to_string(state.join(name)) {
                Ok(text) => fs::write(to, copy_of(&text, n)).expect("a state file"),
                Err(_) => {
                    fs::create_dir_all(to.join("inflight")).expect("a queue");
                    fs::write(to.join("seq"), "1\n").expect("a number");
                }
            }
        }
    }
    fs::write(&registry, json.to_string()).expect("the registry");
}
