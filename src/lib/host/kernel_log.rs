//! The kernel's log, where it may be read (`/dev/kmsg`, Linux).

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// The open kernel log, with the position up to which it has been read.
#[derive(Debug)]
pub(crate) struct KernelLog {
    file: File,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelLine {
    /// When the kernel wrote it: the time since boot.
    pub at: Duration,
    /// The text.
    pub text: String,
}

impl KernelLog {
    /// The log from now on, without older lines. `None` where it may not be read.
    pub(crate) fn from_now() -> Option<KernelLog> {
        let mut log = KernelLog::from_start()?;
        log.file.seek(SeekFrom::End(0)).ok()?;
        Some(log)
    }

    /// The log from its oldest line on. `None` where it may not be read.
    pub(crate) fn from_start() -> Option<KernelLog> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open("/dev/kmsg").ok()?;
        Some(KernelLog { file })
    }

    /// The lines since the last call.
    pub(crate) fn lines(&mut self) -> Vec<KernelLine> {
        let mut lines = Vec::new();
        // One record for each read. A longer record would be an error, but the kernel writes none.
        let mut record = vec![0; 8192];
        loop {
            match self.file.read(&mut record) {
                Ok(0) => return lines,
                Ok(len) => lines.extend(parse(&String::from_utf8_lossy(&record[..len]))),
                // EPIPE: older records were overwritten; reading goes on with the oldest that is left.
                Err(error) if error.raw_os_error() == Some(nix::libc::EPIPE) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return lines,
            }
        }
    }
}

/// `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT`, and below it lines of `KEY=value` that nobody needs here.
fn parse(record: &str) -> Option<KernelLine> {
    let (head, text) = record.split_once(';')?;
    let micros = head.split(',').nth(2)?.parse().ok()?;
    Some(KernelLine { at: Duration::from_micros(micros), text: text.lines().next().unwrap_or_default().to_owned() })
}

/// The line about the tmux server `pid` that the OOM killer has killed.
pub(crate) fn oom_line(lines: &[KernelLine], pid: i32) -> Option<String> {
    let victim = format!("Killed process {pid} (tmux");
    lines.iter().rev().find(|line| line.text.contains(&victim)).map(|line| line.text.clone())
}

/// The line about a fault of the tmux server `pid`: `tmux: server[PID]: segfault at …`.
pub(crate) fn fault_line(lines: &[KernelLine], pid: i32) -> Option<String> {
    let name = format!("[{pid}]");
    let faulty = |text: &str| {
        text.starts_with("tmux")
            && text.contains(&name)
            && ["segfault", "trap", "general protection", "bus error"].iter().any(|word| text.contains(word))
    };
    lines.iter().rev().find(|line| faulty(&line.text)).map(|line| line.text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_only_the_very_server_counts() {
        let record =
            "6,1201,5140900,-;tmux: server[4711]: segfault at 118 ip 00007f error 4 in libevent_core\n SUBSYSTEM=x\n";
        let lines: Vec<KernelLine> = [
            record,
            "4,1,99,-;Memory cgroup out of memory: Killed process 815 (tmux: server) total-vm:9kB, anon-rss:8kB\n",
            "4,1,99,-;Out of memory: Killed process 816 (node) total-vm:9kB\n",
            "garbage",
        ]
        .iter()
        .filter_map(|record| parse(record))
        .collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].at, Duration::from_micros(5_140_900));
        assert!(fault_line(&lines, 4711).unwrap().contains("segfault"));
        assert_eq!(fault_line(&lines, 471), None);
        assert!(oom_line(&lines, 815).unwrap().starts_with("Memory cgroup"));
        assert_eq!(oom_line(&lines, 816), None, "another program's pid");
        assert_eq!(oom_line(&lines, 81), None);
    }
}
