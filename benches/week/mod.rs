//! A week of a fleet, as its logs and histories would have it.

use iapeer::base::EpochMs;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

const WEEK_MS: u64 = 7 * 86_400_000;

/// Writes logs of `peers` peers with `lines` lines below `root`, and a message for each ten lines.
pub fn write(root: &Path, peers: u64, lines: u64) {
    let begin = EpochMs::from(SystemTime::now()).0 - WEEK_MS;
    let at = |n: u64| EpochMs(begin + n * (WEEK_MS / lines));
    let mut log = String::new();
    let mut histories = vec![String::new(); peers as usize];
    for n in 0..lines {
        let (peer, turn, ts) = (n % peers, n / peers, at(n).utc_seconds());
        let identity = format!("parrot-p{peer:03}");
        let event = match turn % 6 {
            0 => {
                format!("ev=wake personality=p{peer:03} identity={identity} runtime=parrot mode=fresh cause=first-wake")
            }
            1 => format!("ev=launch identity={identity} server={n} unit=none"),
            2 => format!("ev=canary identity={identity} state=spawned origin=launch"),
            3 => format!("ev=attention identity={identity} state=approval evidence=hook tool=Bash"),
            4 => format!("ev=attention identity={identity} state=none was=approval age=60s"),
            _ if turn % 30 == 5 => {
                format!(
                    "ev=supervise identity={identity} action=reaped-gone death=server-dead reason=\"the tmux server is gone\""
                )
            }
            _ => format!(
                "ev=supervise identity={identity} action=reaped-idle reason=\"idle 900s\" outcome=resume-eligible"
            ),
        };
        // Writing to a String can't fail.
        let _ = writeln!(log, "ts={ts} {event}");
        if n % 10 == 0 {
            let id = format!("01M{n:0>23}");
            let from = (peer + 1) % peers;
            let _ = writeln!(
                histories[peer as usize],
                "{{\"v\":1,\"id\":\"{id}\",\"outcome\":\"delivered\",\"settled\":{},\"seq\":{n},\"from\":\"parrot-p{from:03}\",\"from_intelligence\":\"artificial\",\"accepted\":{},\"task\":\"look\"}}",
                at(n).0 + 5000,
                at(n).0
            );
        }
    }
    let (logs, history) = (root.join("logs/iapeer"), root.join("history"));
    fs::create_dir_all(&logs).unwrap();
    fs::create_dir_all(&history).unwrap();
    fs::write(logs.join("lifecycle.log"), log).unwrap();
    for (peer, text) in histories.iter().enumerate() {
        fs::write(history.join(format!("parrot-p{peer:03}.jsonl")), text).unwrap();
    }
}
