//! Two hosts in network namespaces of their own, and a cable between them that can be cut.

use super::mail::{delivered, outbox};
use super::{PATIENCE, Running, TestHome, wait_until};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Two namespaces with a cable between them. They are gone with the last process in them.
pub struct Cable {
    ends: [Running; 2],
}

impl Cable {
    /// The addresses of its ends.
    pub const ADDRESSES: [&str; 2] = ["10.77.0.1", "10.77.0.2"];

    /// A new one. `None`: this user may not make namespaces, or there is no `ip`; that is said, and with `CI=true` it fails.
    pub fn new(base: &TestHome) -> Option<Cable> {
        match Cable::made(base) {
            Ok(cable) => Some(cable),
            Err(why) => {
                assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no network namespaces: {why}");
                eprintln!("LEFT OUT: the cut of a link: no network namespaces (root and iproute2 have them): {why}");
                None
            }
        }
    }

    fn made(base: &TestHome) -> Result<Cable, String> {
        run(Command::new("unshare").args(["--net", "--", "true"]))?;
        let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let own = namespace(std::process::id() as i32);
        let ends = [(); 2].map(|()| base.spawn("unshare", &["--net", "--", "sleep", "infinity"]));
        let cable = Cable { ends };
        for end in &cable.ends {
            let apart = || !end.stderr().is_empty() || namespace(end.pid()).is_some_and(|of| Some(of) != own);
            wait_until("a namespace", PATIENCE, apart);
            if !end.stderr().is_empty() {
                return Err(end.stderr());
            }
        }
        let [one, other] = cable.namespaces().map(|pid| pid.to_string());
        ip(&["link", "add", "e0", "netns", &one, "type", "veth", "peer", "name", "e0", "netns", &other])?;
        for (pid, address) in cable.namespaces().into_iter().zip(Cable::ADDRESSES) {
            let within = |words: &[&str]| run(command_in(pid, "ip").args(words));
            within(&["address", "add", &format!("{address}/24"), "dev", "e0"])?;
            within(&["link", "set", "e0", "up"])?;
            within(&["link", "set", "lo", "up"])?;
        }
        Ok(cable)
    }

    /// The processes whose namespaces these are.
    pub fn namespaces(&self) -> [i32; 2] {
        [self.ends[0].pid(), self.ends[1].pid()]
    }

    /// Cuts it: what is sent is lost, and nobody is told.
    pub fn cut(&self) {
        self.set("down");
    }

    /// Mends it.
    pub fn mend(&self) {
        self.set("up");
    }

    fn set(&self, state: &str) {
        run(command_in(self.ends[1].pid(), "ip").args(["link", "set", "e0", state])).unwrap();
    }
}

/// `program` in the namespace of the process `pid`.
pub fn command_in(pid: i32, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{pid}/ns/net")).arg("--").arg(program);
    command
}

fn ip(words: &[&str]) -> Result<(), String> {
    run(Command::new("ip").args(words))
}

fn run(command: &mut Command) -> Result<(), String> {
    let ran = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if ran.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned()) }
}

/// For how long a test cuts the cable: IAPEER_LINK_CUT in seconds (`make soak`: a minute), else two seconds.
pub fn cut_time() -> Duration {
    let given = std::env::var("IAPEER_LINK_CUT").ok().and_then(|secs| secs.parse().ok());
    Duration::from_secs(given.unwrap_or(2))
}

/// The persons `me` of both hosts, given with the host's name, write to each other all the time while the cable is cut
/// and mended. Nothing is lost or doubled, and the order is kept.
pub fn cut_while_both_write(cable: &Cable, hosts: [(&TestHome, &str); 2]) {
    let long = cut_time();
    let (over, settled) = (AtomicBool::new(false), AtomicBool::new(false));
    let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let mut took = Duration::ZERO;
    std::thread::scope(|scope| {
        let mut writers = Vec::new();
        for at in 0..2 {
            let (home, to) = (hosts[at].0, format!("me@{}", hosts[1 - at].1));
            let (over, settled, count) = (&over, &settled, &counts[at]);
            writers.push(scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let body = count.load(Ordering::Relaxed).to_string();
                    home.ok("iapeer-send", &[&to, "--from", "me", "--no-wait", "-m", &body]);
                    count.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(100));
                }
            }));
            // What the timer does on each host.
            scope.spawn(move || {
                let mut tick = Instant::now();
                while !settled.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(50));
                    if tick.elapsed() >= Duration::from_secs(60) {
                        home.ok("iapeer-superviser", &[]);
                        tick = Instant::now();
                    }
                }
            });
        }
        let arrived = |at: usize| delivered(hosts[at].0).values().map(Vec::len).sum::<usize>();
        wait_until("messages both ways", PATIENCE, || (0..2).all(|at| arrived(at) > 1));
        cable.cut();
        std::thread::sleep(long);
        cable.mend();
        let mended = Instant::now();
        over.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let rest = || (0..2).all(|at| outbox(hosts[at].0, hosts[1 - at].1) == (0, 0, 0));
        let patience = Duration::from_secs(300);
        while !rest() && mended.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
        took = mended.elapsed();
        settled.store(true, Ordering::Relaxed);
    });
    for at in 0..2 {
        let (home, from) = (hosts[at].0, format!("person-me@{}", hosts[1 - at].1));
        home.at_rest("person-me");
        let wanted: Vec<String> = (0..counts[1 - at].load(Ordering::Relaxed)).map(|n| n.to_string()).collect();
        let got = delivered(home).remove(&from).unwrap_or_default();
        assert!(got == wanted, "{}: {} of {}: {got:?}", hosts[at].1, got.len(), wanted.len());
    }
    let sent: usize = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    println!(
        "link cut for {} s under {sent} messages: 0 lost, 0 twice; all settled {:.1} s after its mend",
        long.as_secs(),
        took.as_secs_f64()
    );
}
