//! iapeer-canary against real tmux servers: each end that nobody intended gives one record of the right class, each
//! that somebody did gives none.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use support::{LogLine, PATIENCE, TestHome, wait_for, wait_until};

/// A parrot that is up and watched.
struct Watched {
    home: TestHome,
    identity: String,
}

impl Watched {
    #[track_caller]
    fn new(vars: &[(&str, &str)]) -> Watched {
        let home = TestHome::new();
        let identity = home.parrot("bob", vars);
        let watched = Watched { home, identity };
        watched.wake();
        watched
    }

    #[track_caller]
    fn wake(&self) {
        self.home.ok("iapeer-wake", &["bob"]);
        self.client();
    }

    fn recorded(&self, key: &str) -> i32 {
        let record = self.home.session_json(&self.identity).expect("a session that is up has a record");
        record[key]["pid"].as_i64().expect("a record names its processes") as i32
    }

    fn server(&self) -> i32 {
        self.recorded("server")
    }

    /// The pid of the canary that holds the lock.
    #[track_caller]
    fn canary(&self) -> i32 {
        wait_for("a canary", PATIENCE, || {
            let text = fs::read_to_string(self.state("canary.lock")).ok()?;
            let pid: i32 = text.strip_prefix("pid ")?.split(' ').next()?.parse().ok()?;
            cmdline(pid).contains("iapeer-canary").then_some(pid)
        })
    }

    /// The pid of the canary's client, once it waits for the server that is recorded now: then the canary watches.
    #[track_caller]
    fn client(&self) -> i32 {
        wait_for("the canary's client", PATIENCE, || {
            let canary = self.canary();
            let children = fs::read_to_string(format!("/proc/{canary}/task/{canary}/children")).ok()?;
            let mut pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
            pids.find(|pid| cmdline(*pid).contains("wait-for") && asleep(*pid) && asleep(canary))
        })
    }

    fn state(&self, kind: &str) -> PathBuf {
        self.home.state_dir().join(format!("{}.{kind}", self.identity))
    }

    fn exits(&self, ev: &str) -> Vec<LogLine> {
        self.home.log("exits.log").into_iter().filter(|line| line["ev"] == ev).collect()
    }

    /// Waits for the record of the server's end, and for the end of the canary.
    #[track_caller]
    fn server_exit(&self) -> LogLine {
        wait_until("a server-exit", PATIENCE, || !self.exits("server-exit").is_empty());
        wait_until("the canary's end", PATIENCE, || !self.is_watched());
        let mut lines = self.exits("server-exit");
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }

    fn is_watched(&self) -> bool {
        self.home.run("flock", &["-n", self.state("canary.lock").to_str().unwrap(), "true"]).code != 0
    }

    fn tick(&self) -> Vec<Value> {
        self.home.ok("iapeer-superviser", &["--json"]).json_lines()
    }

    /// The canary of `server` has ended without a word.
    #[track_caller]
    fn silent(&self, canary: i32) {
        wait_until("the canary's end", PATIENCE, || !cmdline(canary).contains("iapeer-canary"));
        assert_eq!(self.home.log("exits.log"), Vec::<LogLine>::new());
    }
}

fn cmdline(pid: i32) -> String {
    fs::read(format!("/proc/{pid}/cmdline"))
        .map(|raw| String::from_utf8_lossy(&raw).replace('\0', " "))
        .unwrap_or_default()
}

fn asleep(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.rsplit(')').next().unwrap().starts_with(" S"))
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("it lives");
}

/// SIGKILL, SIGSEGV, SIGTERM: the class, the line's fields, the forensics file, the list and the next wake.
#[test]
fn a_signal_to_the_server_is_recorded_once_with_its_forensics() {
    for (signal, cause, wait_rc) in [
        (Signal::SIGKILL, "signaled", "1"),
        (Signal::SIGSEGV, "signaled", "1"),
        (Signal::SIGTERM, "signaled-server-gone", "0"),
    ] {
        let bob = Watched::new(&[]);
        let server = bob.server();
        send(server, signal);
        let line = bob.server_exit();
        assert_eq!((line["cause"].as_str(), line["wait_rc"].as_str()), (cause, wait_rc), "{signal}: {line:?}");
        assert_eq!(line["server_pid"], server.to_string());
        let keys = ["ts", "ev", "identity", "server_pid", "wait_rc", "cause", "forensics"];
        assert!(line.len() == keys.len() && keys.iter().all(|key| line.contains_key(*key)), "{line:?}");
        let forensics = fs::read_to_string(&line["forensics"]).unwrap();
        assert!(forensics.starts_with("server-death identity=parrot-bob ts="), "{forensics}");
        for section in ["evidence", "meminfo", "ps-top-rss", "last-screen", "lifecycle"] {
            assert!(forensics.contains(&format!("\n--- {section}\n")), "no {section} in {forensics}");
        }
        if cause == "signaled" {
            assert!(forensics.contains(signal.as_str()), "{forensics}");
        }
        // The tick counts the death and adds no second record.
        bob.tick();
        assert_eq!(bob.exits("server-exit").len(), 1);
        let listed = bob.home.ok("iapeer", &["list", "--json"]).json();
        assert_eq!((listed["state"].as_str(), listed["text"].as_str()), (Some("dead"), Some(cause)), "{listed}");
        let report = bob.home.ok("iapeer-canary", &["--report", "--json"]).json();
        assert_eq!((report["cause"].as_str(), report["event"].as_str()), (Some(cause), Some("server-exit")));
        assert!(report["evidence"].is_string(), "{report}");
        bob.wake();
        let wakes = bob.home.log("lifecycle.log");
        let wake = wakes.iter().rfind(|line| line["ev"] == "wake").unwrap();
        assert_eq!(wake.get("last_death").map(String::as_str), Some(cause), "{wake:?}");
        let listed = bob.home.ok("iapeer", &["list", "--json"]).json();
        assert!(listed["state"] != "dead" && listed["runtimes"][0].get("last_death").is_none(), "{listed}");
    }
}

#[test]
fn a_command_that_ends_the_server_is_told_from_a_signal() {
    for command in ["kill-server", "kill-session", "kill-pane", "kill-window"] {
        let bob = Watched::new(&[]);
        let target = format!("={}:", bob.identity);
        let words = if command == "kill-server" { vec![command] } else { vec![command, "-t", &target] };
        assert_eq!(bob.home.tmux(&bob.identity, &words).code, 0);
        let line = bob.server_exit();
        assert_eq!(line["cause"], "killed-by-command", "{command}: {line:?}");
        assert!(fs::read_to_string(&line["forensics"]).unwrap().contains(command));
    }
}

/// A command that ended nothing is no evidence against what comes later.
#[test]
fn a_command_that_failed_is_not_blamed() {
    let bob = Watched::new(&[]);
    assert_ne!(bob.home.tmux(&bob.identity, &["kill-session", "-t", "=nobody"]).code, 0);
    send(bob.server(), Signal::SIGKILL);
    assert_eq!(bob.server_exit()["cause"], "signaled");
}

/// A command that can't write itself down does what it is to do all the same; who did it is then not known.
#[test]
fn a_command_that_leaves_no_trail_still_works() {
    for command in ["kill-server", "kill-session"] {
        let bob = Watched::new(&[]);
        fs::remove_file(bob.state("killed-by")).unwrap();
        fs::create_dir(bob.state("killed-by")).unwrap();
        bob.home.tmux(&bob.identity, &[command]);
        assert_eq!(bob.server_exit()["cause"], "signaled-server-gone", "{command}");
    }
}

/// One pattern takes the server and the canary's client together: the record is written all the same.
#[test]
fn a_sweep_of_server_and_client_is_recorded() {
    for (signal, cause) in [(Signal::SIGTERM, "signaled-server-gone"), (Signal::SIGKILL, "client-killed-server-gone")] {
        let bob = Watched::new(&[]);
        for pid in [bob.client(), bob.server()] {
            send(pid, signal);
        }
        assert_eq!(bob.server_exit()["cause"], cause, "{signal}");
    }
}

/// A pattern that takes the canary too: it stays long enough to write down what it sees.
#[test]
fn a_sweep_of_server_client_and_canary_is_recorded() {
    let bob = Watched::new(&[]);
    for pid in [bob.canary(), bob.client(), bob.server()] {
        send(pid, Signal::SIGTERM);
    }
    assert_eq!(bob.server_exit()["cause"], "signaled-server-gone");
}

/// A canary that is dismissed goes without a word, and the next tick sets another.
#[test]
fn a_dismissed_canary_is_silent() {
    let bob = Watched::new(&[]);
    let canary = bob.canary();
    send(canary, Signal::SIGTERM);
    bob.silent(canary);
    assert!(bob.tick().iter().any(|line| line["action"] == "canary"));
    assert_ne!(bob.canary(), canary);
}

/// A client that was killed alone says nothing about a server that dies later.
#[test]
fn a_client_killed_alone_is_no_evidence_later() {
    let bob = Watched::new(&[]);
    let client = bob.client();
    send(client, Signal::SIGKILL);
    wait_until("the client to be collected", PATIENCE, || cmdline(client).is_empty());
    assert!(bob.exits("server-exit").is_empty());
    // Longer than what counts as together.
    std::thread::sleep(Duration::from_millis(2300));
    send(bob.server(), Signal::SIGKILL);
    assert_eq!(bob.server_exit()["cause"], "signaled");
}

#[test]
fn a_deliberate_end_is_silent() {
    for verb in [&["iapeer-reap", "parrot-bob"][..], &["iapeer", "stop", "bob"], &["iapeer", "new", "bob"]] {
        let bob = Watched::new(&[]);
        let canary = bob.canary();
        bob.home.ok(verb[0], &verb[1..]);
        bob.silent(canary);
    }
}

#[test]
fn an_idle_reap_is_silent() {
    let bob = Watched::new(&[]);
    let canary = bob.canary();
    bob.home.set("IAPEER_IDLE_SECS", "0.001");
    wait_until("the idle reap", PATIENCE, || bob.tick().iter().any(|line| line["action"] == "reaped-idle"));
    bob.silent(canary);
}

#[test]
fn a_canary_that_was_killed_is_armed_again_without_a_record() {
    let bob = Watched::new(&[]);
    let lifecycle = bob.home.log("lifecycle.log");
    assert!(
        lifecycle.iter().any(|line| line["ev"] == "canary" && line["origin"] == "launch" && line["state"] == "spawned")
    );
    assert_eq!(bob.home.ok("iapeer-canary", &["--ensure", &bob.identity]).stdout.trim(), "parrot-bob  already");
    let (canary, client) = (bob.canary(), bob.client());
    send(canary, Signal::SIGKILL);
    wait_until("the client to go with its canary", PATIENCE, || cmdline(client).is_empty());
    let lines = bob.tick();
    let armed = lines.iter().find(|line| line["action"] == "canary").expect("the tick says so");
    assert_eq!(armed["outcome"], "spawned");
    let lifecycle = bob.home.log("lifecycle.log");
    let line = lifecycle.iter().rfind(|line| line.get("action").is_some_and(|action| action == "canary")).unwrap();
    assert_eq!((line["state"].as_str(), line["origin"].as_str()), ("spawned", "retrofit"));
    bob.client();
    assert!(!bob.tick().iter().any(|line| line["action"] == "canary"));
    assert!(bob.home.log("exits.log").is_empty());
    send(bob.server(), Signal::SIGKILL);
    assert_eq!(bob.server_exit()["cause"], "signaled");
}

#[test]
fn a_server_that_died_unwatched_is_recorded_by_the_tick_once() {
    let bob = Watched::new(&[]);
    let canary = bob.canary();
    send(canary, Signal::SIGKILL);
    wait_until("the canary's end", PATIENCE, || cmdline(canary).is_empty());
    // What nobody watched, its unit knows where it has one.
    let has_unit = bob.home.session_json(&bob.identity).unwrap()["unit"].is_string();
    let server = bob.server();
    send(server, Signal::SIGKILL);
    // A tick that still sees it alive would set a new canary on it.
    wait_until("the server's end", PATIENCE, || cmdline(server).is_empty());
    wait_until("the tick to see it", PATIENCE, || bob.tick().iter().any(|line| line["action"] == "reaped-gone"));
    bob.tick();
    let line = bob.server_exit();
    let cause = if has_unit { "signaled" } else { "server-vanished" };
    assert_eq!((line["cause"].as_str(), line["wait_rc"].as_str()), (cause, "unknown"));
}

#[test]
fn a_session_of_another_boot_died_with_the_host() {
    let bob = Watched::new(&[]);
    let (canary, server) = (bob.canary(), bob.server());
    send(canary, Signal::SIGKILL);
    wait_until("the canary's end", PATIENCE, || cmdline(canary).is_empty());
    let path = bob.state("session");
    let mut record = bob.home.session_json(&bob.identity).unwrap();
    record["boot_id"] = "another".into();
    fs::write(&path, record.to_string()).unwrap();
    send(server, Signal::SIGKILL);
    // A tick that still sees it alive would set a new canary on it.
    wait_until("the server's end", PATIENCE, || cmdline(server).is_empty());
    wait_until("the tick to see it", PATIENCE, || bob.tick().iter().any(|line| line["action"] == "reaped-gone"));
    assert_eq!(bob.server_exit()["cause"], "host-reboot");
}

/// A new server on the same socket at once: the old one's end is still seen, and the new one is watched.
#[test]
fn a_successor_on_the_same_socket_hides_nothing() {
    let bob = Watched::new(&[]);
    let old = bob.server();
    send(old, Signal::SIGKILL);
    wait_until("the signal to have its effect", PATIENCE, || cmdline(old).is_empty());
    bob.wake();
    let new = bob.server();
    assert_ne!(old, new);
    wait_until("the first record", PATIENCE, || !bob.exits("server-exit").is_empty());
    send(new, Signal::SIGTERM);
    wait_until("the second record", PATIENCE, || bob.exits("server-exit").len() == 2);
    let found: Vec<_> =
        bob.exits("server-exit").iter().map(|line| (line["server_pid"].clone(), line["cause"].clone())).collect();
    assert_eq!(found, [(old.to_string(), "signaled".into()), (new.to_string(), "signaled-server-gone".into())]);
    assert_ne!(bob.exits("server-exit")[0]["forensics"], bob.exits("server-exit")[1]["forensics"]);
}

/// The socket file proves nothing: without it the server lives and is watched.
#[test]
fn an_unlinked_socket_is_no_death() {
    let bob = Watched::new(&[]);
    fs::remove_file(bob.home.sockets().join("tmux-iap-parrot-bob.sock")).unwrap();
    let lines = bob.tick();
    assert!(!lines.iter().any(|line| line["action"] == "reaped-gone"), "{lines:?}");
    assert!(bob.home.log("exits.log").is_empty());
    send(bob.server(), Signal::SIGTERM);
    assert_eq!(bob.server_exit()["cause"], "signaled-server-gone");
}

/// The program in the pane ends: one line with its status or signal, the server that keeps the dead pane is ended, one
/// death is counted, and no server-exit is made of it.
#[test]
fn a_session_that_ends_by_itself_is_recorded_once_and_cleared_away() {
    for _ in 0..3 {
        let bob = Watched::new(&[]);
        let (server, canary, pane) = (bob.server(), bob.canary(), bob.recorded("pane"));
        send(pane, Signal::SIGKILL);
        // The hook does it; where tmux missed the end (3.3a), the tick does.
        wait_until("the session's end", PATIENCE, || {
            bob.tick();
            cmdline(server).is_empty()
        });
        wait_until("the canary's end", PATIENCE, || !cmdline(canary).contains("iapeer-canary"));
        wait_until("the death to be counted", PATIENCE, || bob.state("deaths").exists());
        bob.tick();
        let exits = bob.home.log("exits.log");
        assert_eq!(exits.len(), 1, "{exits:?}");
        assert_eq!(exits[0]["ev"], "session-exit");
        let ending = (exits[0]["dead_status"].as_str(), exits[0]["dead_signal"].as_str());
        assert_eq!(ending, ("", "9"), "{exits:?}");
        let deaths: Vec<u64> = serde_json::from_slice(&fs::read(bob.state("deaths")).unwrap()).unwrap();
        assert_eq!(deaths.len(), 1);
        assert!(bob.home.session_json(&bob.identity).is_none());
        let listed = bob.home.ok("iapeer", &["list", "--json"]).json();
        assert_eq!(
            (listed["state"].as_str(), listed["text"].as_str()),
            (Some("dead"), Some("exit-signal-9")),
            "{listed}"
        );
    }
}

/// The hook alone, without any tick of ours, does the whole.
#[test]
fn the_hook_records_and_clears_away() {
    let bob = Watched::new(&[]);
    let server = bob.server();
    send(bob.recorded("pane"), Signal::SIGTERM);
    wait_until("the session's end", PATIENCE, || {
        // tmux 3.3a may miss the end of a lone child until another one ends.
        let _ = bob.home.tmux(&bob.identity, &["run-shell", "-b", "true"]);
        cmdline(server).is_empty()
    });
    wait_until("the record to be dropped", PATIENCE, || bob.home.session_json(&bob.identity).is_none());
    assert_eq!(bob.exits("session-exit").len(), 1);
    assert_eq!(bob.home.log("exits.log").len(), 1);
}

/// A program that ends during its boot: the launch records how.
#[test]
fn a_program_that_ends_at_once_is_recorded_by_the_launch() {
    let home = TestHome::new();
    home.parrot("bob", &[("PARROT_CRASH", "boot")]);
    assert_ne!(home.run("iapeer-wake", &["bob"]).code, 0);
    let exits = home.log("exits.log");
    assert_eq!(exits.len(), 1, "{exits:?}");
    assert_eq!(exits[0]["ev"], "session-exit");
    assert!(!exits[0]["dead_status"].is_empty() || !exits[0]["dead_signal"].is_empty(), "{exits:?}");
}

/// At most 2 MB while it watches.
#[test]
fn a_canary_is_small() {
    let bob = Watched::new(&[]);
    let status = fs::read_to_string(format!("/proc/{}/status", bob.canary())).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    };
    eprintln!("VmRSS {} kB, of it anonymous {} kB", field("VmRSS:"), field("RssAnon:"));
    assert!(field("VmRSS:") <= 2048, "{status}");
}

/// The hook and the aliases go through tmux's parser, its formats and a shell: no path may break out of them.
#[test]
fn a_root_with_an_odd_name_is_quoted_everywhere() {
    let home = TestHome::new();
    let odd = home.dir().join("o'd #{pid} \"$X\" ~;");
    std::os::unix::fs::symlink(home.root(), &odd).unwrap();
    home.set("IAPEER_ROOT", &odd).set("IAPEER_SOCK_DIR", home.sockets());
    let bob = Watched { identity: home.parrot("bob", &[]), home };
    bob.wake();
    let server = bob.server();
    send(bob.recorded("pane"), Signal::SIGTERM);
    wait_until("the hook to clear the session away", PATIENCE, || {
        let _ = bob.home.tmux(&bob.identity, &["run-shell", "-b", "true"]);
        cmdline(server).is_empty() && bob.home.session_json(&bob.identity).is_none()
    });
    assert_eq!(bob.exits("session-exit").len(), 1);
    bob.wake();
    assert_eq!(bob.home.tmux(&bob.identity, &["kill-server"]).code, 0);
    assert_eq!(bob.server_exit()["cause"], "killed-by-command");
}

#[test]
fn nobody_to_watch_and_a_wrong_command_line_are_said() {
    let home = TestHome::new();
    let nobody = home.run("iapeer-canary", &["parrot-nobody"]);
    assert_eq!(nobody.code, 67, "{nobody}");
    home.parrot("ann", &[]);
    let ensured = home.run("iapeer-canary", &["--ensure", "parrot-ann"]);
    assert!(ensured.code == 69 && ensured.stdout == "parrot-ann  failed: no session to watch\n", "{ensured}");
    let ensured = home.run("iapeer-canary", &["--ensure", "parrot-ann", "--json"]).json();
    assert_eq!((&ensured["state"], &ensured["reason"]), (&json!("failed"), &json!("no session to watch")));
    assert!(!home.state("parrot-ann", "canary.lock"));
    let asleep = home.run("iapeer-canary", &["parrot-ann"]);
    assert_eq!(asleep.code, 69, "{asleep}");
    assert_eq!(home.run("iapeer-canary", &[]).code, 64);
    assert_eq!(home.run("iapeer-canary", &["--ensure", "nonsense"]).code, 67);
    assert_eq!(home.run("iapeer-canary", &["--ensure", "!?"]).code, 64);
    assert_eq!(home.ok("iapeer-canary", &["--report"]).stdout, "");
}

/// A memory cgroup of the test's own. This machine delegates no v2 controller: it is made below the v1 hierarchy,
/// which takes root.
struct MemoryCgroup(PathBuf);

impl MemoryCgroup {
    /// `None`, with a word on stderr, where such a cgroup can't be made.
    fn new(name: &str, limit: &str) -> Option<MemoryCgroup> {
        let group = MemoryCgroup(PathBuf::from(format!("/sys/fs/cgroup/memory/{name}")));
        let made = fs::create_dir(&group.0).and_then(|()| fs::write(group.0.join("memory.limit_in_bytes"), limit));
        // Swap would only make it slow; not every kernel counts it.
        let _ = fs::write(group.0.join("memory.memsw.limit_in_bytes"), limit);
        match made {
            Ok(()) => Some(group),
            Err(error) => {
                eprintln!("SKIPPED: no v1 memory cgroup can be made here ({error})");
                None
            }
        }
    }

    fn take(&self, pid: i32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("a cgroup takes a process");
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        let start = std::time::Instant::now();
        // Its processes may still be ending.
        while fs::remove_dir(&self.0).is_err() && start.elapsed() < Duration::from_secs(10) {
            for pid in fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default().lines() {
                let _ = kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The server itself is the OOM killer's victim: it is the one that eats memory, a buffer at a time.
#[test]
fn an_oom_kill_is_told_by_the_kernels_own_word() {
    let bob = Watched::new(&[]);
    let Some(group) = MemoryCgroup::new(&format!("iapeer-test-{}", std::process::id()), "24M") else { return };
    // The canary opens the counters of the cgroup that the server is in when it starts.
    let (canary, server) = (bob.canary(), bob.server());
    send(canary, Signal::SIGKILL);
    wait_until("the canary's end", PATIENCE, || cmdline(canary).is_empty());
    group.take(server);
    bob.tick();
    bob.client();
    let food = bob.home.dir().join("food");
    fs::write(&food, vec![b'x'; 4 << 20]).unwrap();
    wait_until("the server to be killed", PATIENCE, || {
        let name = format!("b{:?}", std::time::Instant::now());
        bob.home.tmux(&bob.identity, &["load-buffer", "-b", &name, food.to_str().unwrap()]).code != 0
    });
    let line = bob.server_exit();
    let forensics = fs::read_to_string(&line["forensics"]).unwrap();
    assert_eq!(line["cause"], "oom-kill", "{forensics}");
    assert!(forensics.contains("oom_kill rose by 1") && forensics.contains("Killed process"), "{forensics}");
}

/// The OOM killer took another process of the server's cgroup: a later kill of the server is not blamed on that.
#[test]
fn an_oom_kill_beside_the_server_is_not_its_own() {
    let bob = Watched::new(&[]);
    let Some(group) = MemoryCgroup::new(&format!("iapeer-test-beside-{}", std::process::id()), "24M") else { return };
    let (canary, server) = (bob.canary(), bob.server());
    send(canary, Signal::SIGKILL);
    wait_until("the canary's end", PATIENCE, || cmdline(canary).is_empty());
    group.take(server);
    bob.tick();
    bob.client();
    let glutton = format!("echo $$ > {}/cgroup.procs && exec tail /dev/zero", group.0.display());
    assert_eq!(bob.home.run("sh", &["-c", &glutton]).code, 128 + 9);
    assert!(bob.exits("server-exit").is_empty());
    send(server, Signal::SIGKILL);
    let line = bob.server_exit();
    assert_eq!(line["cause"], "signaled", "{line:?}");
}
