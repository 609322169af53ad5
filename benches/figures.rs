//! The figures iapeer is held to, each as a ratio against a floor measured in the same run, one after the other in
//! turns, so that whatever else the machine does hits both alike. Nothing here passes or fails.
//!
//! `IAPEER_BENCH_LIVE` and `IAPEER_BENCH_ASLEEP` say how many peers the tick looks at (`make bench-large`: 1,000 and 10,000).

#![allow(unreachable_pub, clippy::unwrap_used)]

mod bed;
mod screen;
#[cfg(target_os = "linux")]
mod start;
mod timing;
mod week;

use bed::{Bed, sleepers};
use iapeer::base::SystemClock;
use iapeer::store::FileLock;
use iapeer::store::lock::is_held;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use timing::{timed, until};

const BODY: &str = "a message of ordinary length, as one agent writes to another when it has found something out: \
                    the build is green, the report lies in /srv/reports, and somebody should look at the third table.\n";

fn main() {
    // `cargo bench` passes --bench; a filter word picks figures by name.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    type Figure = fn(&Bed);
    let figures: [(&str, Figure); 13] = [
        ("accept", accept),
        ("accept-held", accept_held),
        ("start", start),
        ("warm", warm),
        ("cold", cold),
        ("tick", tick),
        ("tick-asleep", tick_asleep),
        ("list", list),
        ("next-task", next_task),
        ("timeline", timeline),
        ("top", screen::top),
        ("top-idle", screen::top_idle),
        ("canary", canary),
    ];
    for (name, figure) in figures {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            figure(&Bed::new());
        }
    }
}

/// Rounds that only warm caches up.
const WARM_UP: usize = 3;

/// Runs the floor and ours in turns, now the one first, now the other; the first rounds don't count.
fn in_turns(
    rounds: usize,
    mut floor: impl FnMut() -> Duration,
    mut ours: impl FnMut() -> Duration,
) -> (Vec<Duration>, Vec<Duration>) {
    let (mut floors, mut all) = (Vec::new(), Vec::new());
    for round in 0..rounds + WARM_UP {
        let early = round.is_multiple_of(2).then(&mut floor);
        all.push(ours());
        floors.push(early.unwrap_or_else(&mut floor));
    }
    (floors.split_off(WARM_UP), all.split_off(WARM_UP))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
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

/// Accepting a message to a live session, against safecat writing the same bytes durably. Nobody is at work: a drain
/// is started with each.
fn accept(bed: &Bed) {
    bed.parrot("alice", "");
    bed.parrot("bob", "");
    bed.run("iapeer-send", &["bob", "--from", "alice", "-m", "wake up"]);
    accepting(bed, "accept", || {
        let before = bed.recorded("bob");
        let time = timed(|| bed.accept());
        // The delivery is another figure: what is measured next waits for its end, and that of the turn.
        until(|| bed.recorded("bob") > before && !held(bed) && bed.is_idle("parrot-bob"));
        std::thread::sleep(Duration::from_millis(5));
        time
    });
}

/// The same while another delivery is at work, which takes this message along.
fn accept_held(bed: &Bed) {
    bed.parrot("alice", "");
    bed.parrot("bob", "");
    let path = bed.path("root/state/lifecycle/parrot-bob.lock");
    let _lock = FileLock::acquire_unsigned(&path, Duration::ZERO, &SystemClock::default()).expect("the lock");
    accepting(bed, "accept behind another delivery", || timed(|| bed.accept()));
}

fn accepting(bed: &Bed, figure: &str, ours: impl FnMut() -> Duration) {
    if Command::new("safecat").stdin(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("{figure}: safecat is missing: tools/ensure safecat");
        return;
    }
    // Beside the queue: what a new file costs depends on where its folder lies (ext4 passes over each inode of the group
    // that was deleted lately, and a delivery deletes some).
    let [tmp, dest] = ["tmp", "box"].map(|name| bed.path("root/state/lifecycle").join(name));
    for dir in [&tmp, &dest] {
        fs::create_dir(dir).expect("a folder");
    }
    let floor = || timed(|| bed.feed(bed.command("safecat").args([&tmp, &dest]), BODY));
    let (mut floor, mut ours) = in_turns(100, floor, ours);
    report(figure, &mut ours, &mut floor, "safecat", "1.5 ×");
}

/// Whether a drain of bob is at work.
fn held(bed: &Bed) -> bool {
    is_held(&bed.path("root/state/lifecycle/parrot-bob.lock"))
}

#[cfg(target_os = "linux")]
use start::start;

#[cfg(not(target_os = "linux"))]
fn start(_: &Bed) {
    println!("start of a drain: there is only one way on this system");
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
    let mut echo = Vec::new();
    let floor = || {
        let before = bed.recorded("bob");
        let bare = timed(|| {
            bed.feed(bed.command("tmux").args(["-S", &socket, "load-buffer", "-b", "x", "-"]), &envelope);
            tmux(&["paste-buffer", "-p", "-d", "-b", "x", "-t", "=parrot-bob:"]);
            tmux(&["send-keys", "-t", "=parrot-bob:", "Enter"]);
        });
        echo.push(timed(|| until(|| bed.recorded("bob") > before)));
        bare
    };
    let ours = || {
        let time = timed(|| bed.run("iapeer-send", &["bob", "--from", "alice", "-m", BODY]));
        until(|| !held(bed));
        time
    };
    let (mut floor, ours) = in_turns(60, floor, ours);
    let echo = median(&mut echo);
    let mut without_echo: Vec<Duration> = ours.iter().map(|time| time.saturating_sub(echo)).collect();
    report("warm delivery", &mut without_echo, &mut floor, "bare tmux commands, echo time taken off", "1.3 ×");
}

/// A message to a sleeping peer, against `tmux new-session` with the same agent until its composer shows.
fn cold(bed: &Bed) {
    bed.parrot("alice", "");
    bed.parrot("bob", "");
    let parrot = Path::new(env!("CARGO_BIN_EXE_iapeer-parrot"));
    let agent = parrot.display().to_string();
    let session = ["new-session", "-d", "-s", "floor", "-x", "220", "-y", "50", agent.as_str()];
    let mut servers = 0;
    let floor = || {
        // A server that was just ended may still hold its socket.
        servers += 1;
        let socket = bed.path(&format!("floor{servers}.sock")).display().to_string();
        let time = timed(|| {
            bed.run("tmux", &[&["-S", socket.as_str(), "-f", "/dev/null"], &session[..]].concat());
            until(|| {
                let mut capture = bed.command("tmux");
                let output = capture.args(["-S", &socket, "capture-pane", "-p", "-t", "floor"]);
                let output = output.stdout(Stdio::piped()).output();
                output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("parrot ready"))
            });
        });
        bed.run("tmux", &["-S", &socket, "kill-server"]);
        time
    };
    let ours = || {
        bed.run("iapeer-reap", &["parrot-bob", "--no-park"]);
        timed(|| bed.run("iapeer-send", &["bob", "--from", "alice", "-m", BODY]))
    };
    let (mut floor, mut ours) = in_turns(12, floor, ours);
    let (ours, floor) = (median(&mut ours), median(&mut floor));
    println!(
        "cold wake: {:.0} ms more than the floor ({:.0} ms against {:.0} ms of tmux new-session and the agent's start); held to 100 ms more",
        ms(ours) - ms(floor),
        ms(ours),
        ms(floor)
    );
}

/// A tick over live sessions against as many `tmux has-session`.
fn tick(bed: &Bed) {
    let live = number("IAPEER_BENCH_LIVE", 100);
    for n in 0..live {
        let name = format!("p{n}");
        bed.parrot(&name, "");
        bed.run("iapeer-wake", &[&name]);
    }
    let floor = || {
        timed(|| {
            for n in 0..live {
                let target = format!("=parrot-p{n}");
                bed.run("tmux", &["-S", &bed.socket(&format!("parrot-p{n}")), "has-session", "-t", &target]);
            }
        })
    };
    let (mut floor, mut ours) = in_turns(7, floor, || timed(|| bed.run("iapeer-superviser", &[])));
    let what = format!("{live} tmux has-session");
    report(&format!("tick over {live} live sessions"), &mut ours, &mut floor, &what, "0.1 × (at 1,000)");
}

/// A tick over peers that sleep.
fn tick_asleep(bed: &Bed) {
    let asleep = sleepers(bed);
    let mut times: Vec<Duration> = (0..7 + WARM_UP).map(|_| timed(|| bed.run("iapeer-superviser", &[]))).collect();
    println!(
        "tick over {asleep} sleeping peers: {:.1} ms; held to 50 ms (at 10,000)",
        ms(median(&mut times.split_off(WARM_UP)))
    );
}

/// `iapeer list` of peers that sleep.
fn list(bed: &Bed) {
    let asleep = sleepers(bed);
    let mut times: Vec<Duration> = (0..7 + WARM_UP).map(|_| timed(|| bed.run("iapeer", &["list"]))).collect();
    println!(
        "list of {asleep} peers: {:.1} ms; held to 50 ms at 1,000 and to 300 ms at 10,000",
        ms(median(&mut times.split_off(WARM_UP)))
    );
}

/// `iapeer timeline` of a week of 100 peers: 100,000 lines of log, and 10,000 messages.
fn timeline(bed: &Bed) {
    week::write(&bed.path("root"), 100, 100_000);
    for form in ["--svg", "--html"] {
        let words = ["timeline", "--since", "7d", form, "-"];
        let mut times: Vec<Duration> = (0..3 + WARM_UP).map(|_| timed(|| bed.run("iapeer", &words))).collect();
        println!("timeline of a week, {form}: {:.0} ms; held to 1 s", ms(median(&mut times.split_off(WARM_UP))));
    }
}

/// From one task of a stateless worker to its next: the answer, the end of the session, a fresh one, the delivery.
fn next_task(bed: &Bed) {
    bed.parrot("alice", "");
    bed.run("iapeer", &["create", "bob", "--runtime", "parrot", "--ephemeral"]);
    bed.parrot_env("bob", "PARROT_REPLY=1\n");
    let tasks = 12;
    for _ in 0..tasks {
        bed.run("iapeer-send", &["bob", "--from", "alice", "--no-wait", "-m", "do it"]);
    }
    until(|| bed.recorded("bob") == tasks);
    let record = fs::read_to_string(bed.path("bob.record")).expect("a record");
    let at =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["at"].as_u64().expect("a time");
    let times: Vec<u64> = record.lines().map(at).collect();
    let mut gaps: Vec<Duration> = times.windows(2).map(|pair| Duration::from_millis(pair[1] - pair[0])).collect();
    println!(
        "next task of a worker: {:.0} ms after the one before, which takes no time; held to 1000 ms",
        ms(median(&mut gaps))
    );
    until(|| !bed.path("root/state/lifecycle/parrot-bob.session").exists());
}

/// What a canary holds in memory.
fn canary(bed: &Bed) {
    bed.parrot("bob", "");
    bed.run("iapeer-wake", &["bob"]);
    let pid = || {
        let text = fs::read_to_string(bed.path("root/state/lifecycle/parrot-bob.canary.lock")).ok()?;
        text.split_whitespace().find_map(|word| word.parse::<u32>().ok())
    };
    until(|| pid().is_some());
    let resident = || -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", pid()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    // It gives back what its start took, and then sleeps.
    let (start, mut least) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < Duration::from_secs(2) {
        least = resident().unwrap_or(least).min(least);
        std::thread::sleep(Duration::from_millis(50));
    }
    match least.is_finite() {
        true => println!("canary: {:.1} MB resident; held to 2 MB", least / 1024.0),
        false => println!("canary: this system does not say what it holds in memory"),
    }
}
