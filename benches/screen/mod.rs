//! `iapeer top` in a tmux of the bench's own: how soon it shows the peers, how soon a key shows, what it costs while
//! nothing happens.

use crate::timing::until;
use crate::{Bed, in_turns, median, ms, number, sleepers};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A terminal of 80 by 24 for one command after the other.
struct Screen<'b> {
    bed: &'b Bed,
    socket: String,
}

impl<'b> Screen<'b> {
    fn new(bed: &'b Bed) -> Screen<'b> {
        let screen = Screen { bed, socket: bed.path("screen.sock").display().to_string() };
        screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-s", "x", "-x", "80", "-y", "24", "cat"]);
        screen
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut command = self.bed.command("tmux");
        command.args(["-S", &self.socket]).args(words);
        let output = command.stdout(Stdio::piped()).output().expect("tmux");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs `command` instead of what ran, and waits until `text` is shown.
    fn run(&self, command: &str, text: &str) -> Duration {
        let began = Instant::now();
        self.tmux(&["respawn-pane", "-k", "-t", "x", command]);
        self.shows(text);
        began.elapsed()
    }

    /// Presses a key and waits until `text` is shown.
    fn press(&self, key: &str, text: &str) -> Duration {
        let began = Instant::now();
        self.tmux(&["send-keys", "-t", "x", key]);
        self.shows(text);
        began.elapsed()
    }

    fn shows(&self, text: &str) {
        until(|| self.tmux(&["capture-pane", "-p", "-t", "x"]).contains(text));
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_iapeer")
}

/// The first picture and a key, of peers that sleep, against a program that prints a word and one that echoes.
pub fn top(bed: &Bed) {
    let peers = sleepers(bed);
    let screen = Screen::new(bed);
    let top = format!("{} top", program());
    let (mut floor, mut ours) =
        in_turns(7, || screen.run("printf NAME; exec cat", "NAME"), || screen.run(&top, "RUNTIME STATE"));
    let (ours, floor) = (median(&mut ours), median(&mut floor));
    println!(
        "top, first picture of {peers} peers: {:.0} ms ({:.0} ms against {:.0} ms of a program that prints a word); held to 150 ms at 1,000",
        ms(ours.saturating_sub(floor)),
        ms(ours),
        ms(floor)
    );
    // The selected peer's line says which key was obeyed: the last peer, then the first one.
    screen.run(&top, "RUNTIME STATE");
    let list = screen.tmux(&["capture-pane", "-p", "-t", "x"]);
    let first = list.lines().nth(2).and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_owned();
    screen.press("End", " (parrot)  asleep");
    let mut turn = 0;
    let mut key = || {
        turn += 1;
        if turn % 2 == 0 {
            screen.press("End", &format!(" p{} (parrot)", last(peers)))
        } else {
            screen.press("Home", &format!(" {first} ("))
        }
    };
    let mut ours: Vec<Duration> = (0..22).map(|_| key()).collect();
    screen.run("exec cat", "");
    let mut typed = String::new();
    let mut echo = || {
        typed.push('x');
        screen.press("x", &typed.clone())
    };
    let mut floor: Vec<Duration> = (0..22).map(|_| echo()).collect();
    let (ours, floor) = (median(&mut ours), median(&mut floor));
    println!(
        "top, a key among {peers} peers: {:.0} ms ({:.0} ms against {:.0} ms of an echo); held to 50 ms at 1,000",
        ms(ours.saturating_sub(floor)),
        ms(ours),
        ms(floor)
    );
}

/// The last of p0 to p(count - 1) by name.
fn last(count: usize) -> usize {
    (0..count).max_by_key(|n| format!("p{n}")).unwrap_or(0)
}

/// What the screen takes of a processor while sessions are idle, with what it starts.
pub fn top_idle(bed: &Bed) {
    let live = number("IAPEER_BENCH_LIVE", 100);
    for n in 0..live {
        let name = format!("p{n}");
        bed.parrot(&name, "");
        bed.run("iapeer-wake", &[&name]);
    }
    let screen = Screen::new(bed);
    screen.run(&format!("exec {} top", program()), "parrot ready");
    let pid = screen.tmux(&["display-message", "-p", "-t", "x", "#{pane_pid}"]).trim().to_owned();
    let ticks = || -> Option<u64> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // utime, stime, cutime, cstime of proc(5).
        fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum()
    };
    std::thread::sleep(Duration::from_secs(5));
    let before = ticks();
    std::thread::sleep(Duration::from_secs(60));
    match (before, ticks()) {
        (Some(before), Some(after)) => println!(
            "top over {live} idle sessions: {:.2} % of a processor, over a minute; held to 1 % at 100",
            (after - before) as f64 / 60.0
        ),
        _ => println!("top over {live} idle sessions: this system does not say what it takes"),
    }
}
