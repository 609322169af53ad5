//! The figures iapeer is held to, each as a ratio against a floor measured in the same run, one after the other in
//! turns, so that whatever else the machine does hits both alike. Nothing here passes or fails.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BODY: &str = "a message of ordinary length, as one agent writes to another when it has found something out: \
                    the build is green, the report lies in /srv/reports, and somebody should look at the third table.\n";

fn main() {
    // `cargo bench` passes --bench; a filter word picks figures by name.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    type Figure = fn(&Bed);
    let figures: [(&str, Figure); 4] = [("accept", accept), ("warm", warm), ("cold", cold), ("tick", tick)];
    for (name, figure) in figures {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            figure(&Bed::new());
        }
    }
}

/// A throw-away root with its own home.
struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    fn new() -> Bed {
        let dir = tempfile::Builder::new().prefix("iap-bench.").tempdir_in("/tmp").expect("a temporary folder");
        for name in ["root", "home"] {
            fs::DirBuilder::new().mode(0o700).create(dir.path().join(name)).expect("a folder");
        }
        Bed { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
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

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = self.command(program).args(arguments).status().expect(program);
        assert!(status.success(), "{program} {arguments:?}: {status}");
    }

    fn feed(&self, command: &mut Command, text: &str) {
        let mut child = command.stdin(Stdio::piped()).spawn().expect("a program");
        child.stdin.take().expect("its stdin").write_all(text.as_bytes()).expect("to feed it");
        assert!(child.wait().expect("to wait").success());
    }

    fn parrot(&self, name: &str, environment: &str) {
        self.run("iapeer", &["create", name, "--runtime", "parrot"]);
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
    fn recorded(&self, name: &str) -> usize {
        fs::read_to_string(self.path(&format!("{name}.record"))).map_or(0, |text| text.lines().count())
    }

    fn socket(&self, identity: &str) -> String {
        self.path(&format!("root/socks/tmux-iap-{identity}.sock")).display().to_string()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.command("iapeer").args(["stop", "--all"]).stderr(Stdio::null()).status();
        for entry in fs::read_dir(self.path("root/socks")).into_iter().flatten().flatten() {
            let _ = self.command("tmux").arg("-S").arg(entry.path()).arg("kill-server").stderr(Stdio::null()).status();
        }
    }
}

fn timed(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

fn until(mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited for 30 s in vain");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn report(figure: &str, ours: &mut [Duration], floor: &mut [Duration], what: &str, bound: &str) {
    let (ours, floor) = (median(ours), median(floor));
    println!(
        "{figure}: {:.2} × the floor ({:.2} ms against {:.2} ms of {what}); held to {bound}",
        ours.as_secs_f64() / floor.as_secs_f64(),
        ms(ours),
        ms(floor)
    );
}

/// Accepting a message, against safecat writing the same bytes durably. The drain finds the identity held, as it
/// does whenever another one is at work.
fn accept(bed: &Bed) {
    if Command::new("safecat").stdin(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("accept: safecat is missing: tools/ensure safecat");
        return;
    }
    bed.parrot("alice", "");
    bed.parrot("bob", "");
    let lock = File::create(bed.path("root/state/lifecycle/parrot-bob.lock")).expect("a lock file");
    fs2::FileExt::lock_exclusive(&lock).expect("the lock");
    for name in ["tmp", "box"] {
        fs::create_dir(bed.path(name)).expect("a folder");
    }
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        floor.push(timed(|| {
            let mut safecat = bed.command("safecat");
            bed.feed(safecat.args([bed.path("tmp"), bed.path("box")]), BODY);
        }));
        ours.push(timed(|| {
            bed.feed(bed.command("iapeer-send").args(["bob", "--from", "alice", "--no-wait"]), BODY);
        }));
    }
    report("accept", &mut ours, &mut floor, "safecat", "1.5 ×");
}

/// A message into a live session, against the bare tmux commands it needs plus the agent's own echo.
fn warm(bed: &Bed) {
    bed.parrot("alice", "");
    bed.parrot("bob", "");
    bed.run("iapeer-send", &["bob", "--from", "alice", "-m", "wake up"]);
    let socket = bed.socket("parrot-bob");
    let tmux = |arguments: &[&str]| bed.run("tmux", &[&["-S", &socket], arguments].concat());
    let envelope = format!(
        "<iap from-personality=\"alice\" from-runtime=\"parrot\">\n<message><![CDATA[{BODY}]]></message>\n</iap>"
    );
    let (mut ours, mut floor, mut echo) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..40 {
        let before = bed.recorded("bob");
        let mut bare = Duration::ZERO;
        let whole = timed(|| {
            bare = timed(|| {
                bed.feed(bed.command("tmux").args(["-S", &socket, "load-buffer", "-b", "x", "-"]), &envelope);
                tmux(&["paste-buffer", "-p", "-d", "-b", "x", "-t", "=parrot-bob:"]);
                tmux(&["send-keys", "-t", "=parrot-bob:", "Enter"]);
            });
            until(|| bed.recorded("bob") > before);
        });
        floor.push(bare);
        echo.push(whole - bare);
        let before = bed.recorded("bob");
        ours.push(timed(|| {
            bed.run("iapeer-send", &["bob", "--from", "alice", "-m", BODY]);
        }));
        until(|| bed.recorded("bob") > before);
    }
    let echo = median(&mut echo);
    let mut with_echo: Vec<Duration> = ours.iter().map(|time| time.saturating_sub(echo)).collect();
    report("warm delivery", &mut with_echo, &mut floor, "bare tmux commands, echo time taken off", "1.3 ×");
}

/// A message to a sleeping peer, against `tmux new-session` with the same agent until its composer shows.
fn cold(bed: &Bed) {
    bed.parrot("alice", "");
    bed.parrot("bob", "");
    let parrot = Path::new(env!("CARGO_BIN_EXE_iapeer-parrot"));
    let socket = bed.path("floor.sock").display().to_string();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        floor.push(timed(|| {
            let parrot = parrot.display().to_string();
            bed.run(
                "tmux",
                &[
                    "-S",
                    &socket,
                    "-f",
                    "/dev/null",
                    "new-session",
                    "-d",
                    "-s",
                    "floor",
                    "-x",
                    "220",
                    "-y",
                    "50",
                    &parrot,
                ],
            );
            until(|| {
                let output = bed
                    .command("tmux")
                    .args(["-S", &socket, "capture-pane", "-p", "-t", "floor"])
                    .stdout(Stdio::piped())
                    .output();
                output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("parrot ready"))
            });
        }));
        bed.run("tmux", &["-S", &socket, "kill-server"]);
        bed.run("iapeer-reap", &["parrot-bob", "--no-park"]);
        ours.push(timed(|| {
            bed.run("iapeer-send", &["bob", "--from", "alice", "-m", BODY]);
        }));
    }
    let (ours, floor) = (median(&mut ours), median(&mut floor));
    println!(
        "cold wake: {:.0} ms more than the floor ({:.0} ms against {:.0} ms of tmux new-session and the agent's start); held to 100 ms more",
        ms(ours) - ms(floor),
        ms(ours),
        ms(floor)
    );
}

/// A tick over live sessions against as many `tmux has-session`, and over sleeping peers.
fn tick(bed: &Bed) {
    const LIVE: usize = 20;
    for n in 0..LIVE {
        let name = format!("p{n}");
        bed.parrot(&name, "");
        bed.run("iapeer-wake", &[&name]);
    }
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        floor.push(timed(|| {
            for n in 0..LIVE {
                bed.run(
                    "tmux",
                    &["-S", &bed.socket(&format!("parrot-p{n}")), "has-session", "-t", &format!("=parrot-p{n}")],
                );
            }
        }));
        ours.push(timed(|| bed.run("iapeer-superviser", &[])));
    }
    report(&format!("tick over {LIVE} live sessions"), &mut ours, &mut floor, "tmux has-session", "0.1 × (at 1,000)");
}
