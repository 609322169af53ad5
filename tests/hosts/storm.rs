//! Four senders on two hosts, while relays, ssh and sshd's connections are killed.

use crate::*;

/// The long form: IAPEER_HOSTS_STORM=250, a thousand messages of four senders (`make soak`).
#[test]
fn nothing_is_lost_or_doubled_whoever_is_killed() {
    let given = std::env::var("IAPEER_HOSTS_STORM").ok().and_then(|n| n.parse().ok());
    let each: usize = given.unwrap_or(25);
    let (laptop, there) = two();
    for host in [&laptop, &there] {
        host.home.ok("iapeer", &["create", "ann", "--runtime", "person"]);
    }
    let over = AtomicBool::new(false);
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15 ^ u64::from(std::process::id()));
    let mut killed = BTreeMap::<String, usize>::new();
    std::thread::scope(|scope| {
        let ways = [(&laptop, "me@box"), (&there, "me@laptop")];
        let writers: Vec<_> = ways
            .iter()
            .flat_map(|(host, to)| ["me", "ann"].map(|from| (*host, *to, from)))
            .map(|(host, to, from)| {
                scope.spawn(move || {
                    for n in 0..each {
                        host.home.ok("iapeer-send", &[to, "--from", from, "--no-wait", "-m", &n.to_string()]);
                    }
                })
            })
            .collect();
        // What a tick does each minute.
        for (host, to) in [(&laptop, "box"), (&there, "laptop")] {
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    host.home.run("iapeer-relay", &["push", to]);
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
        }
        let at_work = || writers.iter().any(|writer| !writer.is_finished());
        let mut rounds = 0;
        while at_work() || rounds < each.max(20) {
            rounds += 1;
            std::thread::sleep(Duration::from_millis(50 + chance.below(150)));
            let mut all: Vec<(i32, String)> = Vec::new();
            for host in [&laptop, &there] {
                let processes = host.home.processes().into_iter();
                all.extend(processes.filter(|(_, name)| name == "iapeer-relay" || name == "ssh"));
                all.extend(host.connections().into_iter().map(|pid| (pid, "sshd".into())));
            }
            if !all.is_empty() {
                let (pid, name) = all.swap_remove(chance.below(all.len() as u64) as usize);
                kill(pid);
                *killed.entry(name).or_default() += 1;
            }
        }
        for writer in writers {
            writer.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    let wanted: Vec<String> = (0..each).map(|n| n.to_string()).collect();
    wait_until("all to be settled", Duration::from_secs(240), || {
        laptop.home.run("iapeer-relay", &["push", "box"]);
        there.home.run("iapeer-relay", &["push", "laptop"]);
        laptop.outbox("box") == (0, 0, 0) && there.outbox("laptop") == (0, 0, 0)
    });
    for (host, other) in [(&laptop, "box"), (&there, "laptop")] {
        host.home.at_rest("person-me");
        let mut got = delivered(&host.home);
        for from in ["me", "ann"] {
            let got = got.remove(&format!("person-{from}@{other}")).unwrap_or_default();
            assert!(got == wanted, "{} of {from}@{other}: {} of {each}: {got:?}", host.name, got.len());
        }
        assert!(got.is_empty(), "{got:?}");
    }
    println!("hosts: {} messages, 0 lost, 0 twice; killed: {killed:?}", each * 4);
}
