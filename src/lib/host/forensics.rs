//! The state of the machine, as text for people: memory, swap, pressure, the largest processes. A part that can't be
//! determined is left out.

use crate::host::command::ask;
use crate::host::kernel_log::KernelLog;
use std::fs;
use std::time::{Duration, Instant};

/// A titled piece of a forensics file.
pub(crate) type Section = (&'static str, String);

/// How many processes are listed.
const LARGEST: usize = 25;

/// The state of the machine now, gathered until `deadline` at the latest.
pub fn machine(deadline: Instant) -> Vec<Section> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let mut sections: Vec<Section> = Vec::new();
    if cfg!(target_os = "macos") {
        for (title, program, arguments) in [
            ("vm_stat", "vm_stat", &[] as &[&str]),
            ("swapusage", "sysctl", &["-n", "vm.swapusage"]),
            ("ps-top-rss", "ps", &["-Amo", "rss,pid,ppid,comm"]),
        ] {
            let text = ask(program, arguments, left()).unwrap_or_default();
            sections.push((title, first_lines(&text, LARGEST + 1)));
        }
        sections.push(("diagnostic-reports", diagnostic_reports()));
    } else {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        sections.push(("meminfo", first_lines(&read("/proc/meminfo"), 60)));
        sections.push(("swapusage", read("/proc/swaps")));
        let pressure = |kind: &str| format!("{kind}\n{}", read(&format!("/proc/pressure/{kind}")));
        sections.push(("pressure", [pressure("memory"), pressure("cpu"), pressure("io")].join("")));
        sections.push(("ps-top-rss", largest()));
        sections.push(("kernel", kernel()));
        let journal = ask("journalctl", &["--since", "-1min", "--no-pager", "-q", "-n", "200"], left());
        sections.push(("journal", journal.unwrap_or_default()));
    }
    sections.retain(|(_, text)| !text.trim().is_empty());
    sections
}

/// The largest processes by resident memory, from `/proc`.
fn largest() -> String {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut all: Vec<(u64, String)> = entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim();
            let rss: u64 = field("VmRSS:").trim_end_matches(" kB").parse().ok()?;
            Some((rss, format!("{rss:>9} kB  {pid:>7}  {:>7}  {}", field("PPid:"), field("Name:"))))
        })
        .collect();
    all.sort_by_key(|(rss, _)| std::cmp::Reverse(*rss));
    all.truncate(LARGEST);
    all.into_iter().map(|(_, line)| line + "\n").collect()
}

/// The lines of the last minute in the kernel's log.
fn kernel() -> String {
    let Some(mut log) = KernelLog::from_start() else { return String::new() };
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let now: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let since = Duration::from_secs_f64((now - 60.0).max(0.0));
    let lines = log.lines();
    let recent = lines.iter().filter(|line| line.at >= since);
    recent.map(|line| format!("[{:.6}] {}\n", line.at.as_secs_f64(), line.text)).collect()
}

/// Names of the newest crash reports (macOS).
fn diagnostic_reports() -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    let mut found: Vec<_> =
        [format!("{home}/Library/Logs/DiagnosticReports"), "/Library/Logs/DiagnosticReports".into()]
            .iter()
            .flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten())
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
    found.sort();
    found.iter().rev().take(10).map(|(_, path)| format!("{}\n", path.display())).collect()
}

fn first_lines(text: &str, count: usize) -> String {
    text.lines().take(count).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described_within_its_time() {
        let deadline = Instant::now() + Duration::from_secs(30);
        let sections = machine(deadline);
        let has = |title: &str| sections.iter().any(|(name, _)| *name == title);
        assert!(has("ps-top-rss"), "{sections:?}");
        assert!(!cfg!(target_os = "linux") || has("meminfo"));
    }
}
