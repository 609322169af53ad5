//! Facts about processes from `/proc` (proc(5)).

use super::stat::Stat;
use std::fs;
use std::io::Read;
use std::sync::OnceLock;

/// `/proc/PID/stat`. The command's name, in parentheses, may hold spaces and parentheses: fields are counted from
/// the last one.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse(&stat_line(pid)?)
}

fn stat_line(pid: i32) -> Option<String> {
    // The length of a file of /proc is not known before it is read. There is room for all of a line, which the kernel
    // writes anew for each read.
    let mut line = String::with_capacity(1024);
    fs::File::open(format!("/proc/{pid}/stat")).ok()?.read_to_string(&mut line).ok()?;
    Some(line)
}

fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    // proc(5) counts from 1 and the name is field 2, so field N has the index N - 3.
    let field = |n: usize| fields.get(n - 3).copied();
    Some(Stat {
        zombie: matches!(field(3)?, "Z" | "X" | "x"),
        stopped: matches!(field(3)?, "T" | "t"),
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        start: field(22)?.parse().ok()?,
    })
}

/// The name of its program.
pub(crate) fn name(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
}

/// The function of the kernel that it sleeps in.
pub(crate) fn wait_channel(pid: i32) -> Option<String> {
    let channel = fs::read_to_string(format!("/proc/{pid}/wchan")).ok()?;
    (!matches!(channel.as_str(), "" | "0")).then(|| format!("the kernel's {channel}"))
}

pub(crate) fn pids() -> Vec<i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// `PF_FORKNOEXEC` of the kernel's flags of a process (field 9 of its stat): forked, and no program executed since.
const FORKED_ONLY: u32 = 0x40;

/// Whether the process has executed a program since it was forked. Tells this about a zombie too.
pub(crate) fn has_executed(pid: i32) -> Option<bool> {
    let text = stat_line(pid)?;
    let flags: u32 = text.rsplit_once(')')?.1.split_whitespace().nth(9 - 3)?.parse().ok()?;
    Some(flags & FORKED_ONLY == 0)
}

pub(crate) fn boot_id() -> Option<String> {
    static ID: OnceLock<Option<String>> = OnceLock::new();
    let read = || fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|text| text.trim().to_owned());
    ID.get_or_init(read).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_passed_over() {
        let line = "42 (a) b (c)) S 7 42 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        assert_eq!(parse(line), Some(Stat { zombie: false, stopped: false, parent: 7, session: 9, start: 12345 }));
        let line = line.replace(") S", ") T");
        assert!(parse(&line).unwrap().stopped);
        assert_eq!(parse("42 (torn"), None);
    }
}
