//! The checks. Each finding names the file and the line.

use crate::layers::graph::{Circle, Graph, Outside, Use};
use crate::layers::source::{Source, Text};

/// The largest share of the library's code that one room may have, in percent.
const ROOM_PERCENT: usize = 15;
/// The largest number of lines of a file.
const FILE_LINES: usize = 450;
/// The largest number of lines of code that the median file may have.
const MEDIAN_LINES: usize = 120;

/// Paths by which programs are started, signals are sent, and sockets are asked.
const HOST_PATHS: &[(&str, &str)] = &[
    ("std::process::Command", "starts a program"),
    ("std::os::unix::process::CommandExt", "starts a program"),
    ("tokio::process", "starts a program"),
    ("nix::unistd::fork", "starts a process"),
    ("nix::unistd::exec", "starts a program"),
    ("nix::sys::signal", "sends or handles a signal"),
    ("signal_hook::low_level::raise", "sends a signal"),
    ("signal_hook::low_level::emulate_default_handler", "sends a signal"),
    ("std::os::unix::net::UnixStream::connect", "asks a socket whether somebody listens"),
];
/// Exceptions to these: to name a signal is not to send one.
const HARMLESS: &[&str] = &["nix::sys::signal::Signal"];
/// Files and folders through which the kernel and systemd describe processes.
const HOST_FILES: &[&str] = &["/proc", "/dev/fd", "/dev/kmsg", "/sys/fs/cgroup", "/run/systemd"];
/// Programs of the machine: a literal with such a name is a use of the program.
const HOST_PROGRAMS: &[&str] =
    &["systemctl", "systemd-run", "launchctl", "loginctl", "journalctl", "pkill", "killall", "pgrep"];
/// Programs of the machine whose names are plain words too: a literal is a use of the program only as the first argument
/// of one of [`STARTERS`].
const HOST_WORDS: &[&str] = &["tmux", "ps", "kill"];
const STARTERS: &[&str] = &["new", "ask", "run", "find_program", "detached"];

/// Paths by which a file is read that may be a FIFO, a device or without end.
const READS: &[&str] = &["std::fs::read", "std::fs::read_to_string", "std::fs::File::open"];
/// What may do that: `store/open` itself, what is below it, folders, the agent to try iapeer with, and files that a user
/// names on a command line, where a FIFO is one that is meant (`<(…)`).
const READERS: &[&str] = &[
    "src/lib/base/",
    "src/lib/host/",
    "src/lib/parrot/",
    "src/lib/store/open.rs",
    "src/lib/cli/mod.rs",
    "src/bin/iapeer-reap.rs",
];

/// Modules of std that do I/O, which a rule must not.
const ACTS: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread"];
/// Crates that a rule may use: they serialise and display its types.
const PLAIN_CRATES: &[&str] = &["std", "core", "alloc", "serde", "thiserror"];

/// The rooms in the order of the table in `lib.rs`: rows `//! | [`room`] | … |`.
fn table(lib: &str) -> Vec<String> {
    let room = |line: &str| Some(line.strip_prefix("//! | [`")?.split_once('`')?.0.to_owned());
    lib.lines().filter_map(room).collect()
}

/// The tree to check: files given as path and text, among them `src/lib/lib.rs` with the room table.
pub struct Tree {
    sources: Vec<Source>,
    /// Files outside `src/`, and how many lines each has: nothing else is checked in them.
    others: Vec<(String, usize)>,
    graph: Graph,
    table: Vec<String>,
    unreadable: Vec<String>,
}

impl Tree {
    pub fn read(files: &[(String, String)]) -> Tree {
        let (mut sources, mut others, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for (path, text) in files {
            if !path.starts_with("src/") {
                others.push((path.clone(), text.lines().count()));
                continue;
            }
            match Source::read(path, text) {
                Ok(source) => sources.push(source),
                Err(problem) => unreadable.push(problem),
            }
        }
        let lib = files.iter().find(|(path, _)| path == "src/lib/lib.rs");
        let table = lib.map(|(_, text)| table(text)).unwrap_or_default();
        Tree { graph: Graph::of(&sources), sources, others, table, unreadable }
    }

    /// The findings of all checks.
    pub fn problems(&self) -> Vec<String> {
        let checks = [self.rooms(), self.circles(), self.decisions(), self.host(), self.reads(), self.sizes()];
        self.unreadable.iter().cloned().chain(checks.into_iter().flatten()).collect()
    }

    fn at(&self, file: usize, line: usize) -> String {
        format!("{}:{line}", self.sources[file].path)
    }

    /// The first use of each file by each other file.
    fn first_uses(&self) -> Vec<&Use> {
        let mut uses: Vec<&Use> = self.graph.uses.iter().collect();
        uses.sort_by_key(|used| (used.from, used.to, used.line));
        uses.dedup_by_key(|used| (used.from, used.to));
        uses
    }

    /// The rooms of the library, each once.
    fn all_rooms(&self) -> Vec<&str> {
        let mut rooms: Vec<&str> = self.sources.iter().filter_map(Source::room).collect();
        rooms.sort_unstable();
        rooms.dedup();
        rooms
    }

    /// A room uses only rooms above it in the table; every room is in the table and forbids unsafe code.
    pub fn rooms(&self) -> Vec<String> {
        let place = |room: &str| self.table.iter().position(|row| row == room);
        let mut found = Vec::new();
        for room in self.all_rooms() {
            let head = |source: &&Source| source.module == [room];
            let Some(head) = self.sources.iter().find(head) else { continue };
            if place(room).is_none() {
                found.push(format!("{}:1: the room `{room}` is missing from the table in src/lib/lib.rs", head.path));
            }
            if room != "host" && !head.forbids_unsafe {
                found.push(format!("{}:1: the room `{room}` does not begin with #![forbid(unsafe_code)]", head.path));
            }
        }
        for row in self.table.iter().filter(|row| !self.all_rooms().contains(&row.as_str())) {
            found.push(format!("src/lib/lib.rs:1: the table has a row for `{row}`, and there is no such room"));
        }
        for Use { from, to, line, .. } in self.first_uses() {
            let (Some(user), Some(used)) = (self.sources[*from].room(), self.sources[*to].room()) else { continue };
            if place(used) > place(user) {
                let at = self.at(*from, *line);
                found.push(format!("{at}: `{user}` uses `{used}` ({}), which is below it", self.sources[*to].path));
            }
        }
        found
    }

    /// Files do not import each other in circles.
    pub fn circles(&self) -> Vec<String> {
        let way = |Circle { way, files }: Circle| {
            let steps: Vec<String> = way.iter().map(|(file, line)| self.at(*file, *line)).collect();
            let first = way.first().map(|(file, _)| self.sources[*file].path.as_str()).unwrap_or_default();
            let more = if files > way.len() { format!(" (one of those among {files} files)") } else { String::new() };
            format!("{}: a circle of imports: {} → {first}{more}", steps[0], steps.join(" → "))
        };
        self.graph.circles().into_iter().map(way).collect()
    }

    /// A rule imports `base` and its own types, and does no I/O.
    pub fn decisions(&self) -> Vec<String> {
        let decides =
            |source: &Source| source.path.ends_with("/rule.rs") || source.path == "src/lib/session/crash_loop.rs";
        let mut found = Vec::new();
        for Use { from, to, line, .. } in self.first_uses() {
            if decides(&self.sources[*from]) && self.sources[*to].room() != Some("base") {
                found.push(format!("{}: a rule uses {}", self.at(*from, *line), self.sources[*to].path));
            }
        }
        for Outside { from, path, line, test } in &self.graph.outside {
            if !decides(&self.sources[*from]) || *test || !is_crate(&path[0]) {
                continue;
            }
            let acts = path[0] == "std" && path.get(1).is_some_and(|part| ACTS.contains(&part.as_str()));
            if acts || !PLAIN_CRATES.contains(&path[0].as_str()) {
                found.push(format!("{}: a rule uses {}", self.at(*from, *line), path.join("::")));
            }
        }
        found
    }

    /// Only `host` starts programs, signals processes and reads /proc, and only `host` has unsafe code.
    pub fn host(&self) -> Vec<String> {
        let elsewhere = |source: &Source| source.room() != Some("host");
        let mut found = Vec::new();
        for Outside { from, path, line, .. } in &self.graph.outside {
            if elsewhere(&self.sources[*from])
                && let Some(does) = touches(&path.join("::"))
            {
                let at = self.at(*from, *line);
                found.push(format!("{at}: {} {does}: only src/lib/host/ does that", path.join("::")));
            }
        }
        for source in self.sources.iter().filter(|source| elsewhere(source)) {
            for text in source.texts.iter().filter(|text| is_host_text(text)) {
                let at = format!("{}:{}", source.path, text.line);
                found.push(format!("{at}: {:?} is for src/lib/host/ alone", text.value));
            }
            let unsafe_line = |line| format!("{}:{line}: unsafe code outside src/lib/host/", source.path);
            found.extend(source.unsafe_lines.iter().map(unsafe_line));
        }
        found
    }

    /// Files that others may have placed are opened by `store/open` alone: it never waits, and never reads without end.
    pub fn reads(&self) -> Vec<String> {
        let mut found = Vec::new();
        for Outside { from, path, line, test } in &self.graph.outside {
            let (file, path) = (&self.sources[*from].path, path.join("::"));
            if !test && READS.contains(&path.as_str()) && !READERS.iter().any(|reader| file.starts_with(reader)) {
                found.push(format!("{}: {path} may wait for ever: store::open does not", self.at(*from, *line)));
            }
        }
        found
    }

    /// Rooms, files and the median file stay below their limits.
    pub fn sizes(&self) -> Vec<String> {
        let mut found = Vec::new();
        let library: Vec<&Source> = self.sources.iter().filter(|source| source.path.starts_with("src/lib/")).collect();
        let total: usize = library.iter().map(|source| source.code_lines).sum();
        for room in self.all_rooms() {
            let own = library.iter().filter(|source| source.room() == Some(room));
            let lines: usize = own.map(|source| source.code_lines).sum();
            if lines * 100 > total * ROOM_PERCENT {
                let share = lines as f64 * 100.0 / total as f64;
                found.push(format!(
                    "src/lib/{room}: {lines} lines of code, {share:.1} % of the library: more than {ROOM_PERCENT} %"
                ));
            }
        }
        let others = self.others.iter().map(|(path, lines)| (path, *lines));
        let all = self.sources.iter().map(|source| (&source.path, source.lines)).chain(others);
        for (path, lines) in all.filter(|(_, lines)| *lines > FILE_LINES) {
            found.push(format!("{path}:{lines}: more than {FILE_LINES} lines"));
        }
        let mut lines: Vec<usize> = library.iter().map(|source| source.code_lines).collect();
        lines.sort_unstable();
        if let Some(median) = lines.get(lines.len() / 2).filter(|median| **median > MEDIAN_LINES) {
            found.push(format!("src/lib: the median file has {median} lines of code: more than {MEDIAN_LINES}"));
        }
        found
    }
}

/// Whether a path's first segment names a crate: type names begin with a capital letter, and primitive types are excluded.
fn is_crate(first: &str) -> bool {
    let number = first
        .strip_prefix(['i', 'u', 'f'])
        .is_some_and(|size| size == "size" || !size.is_empty() && size.chars().all(|c| c.is_ascii_digit()));
    first.starts_with(|c: char| c.is_lowercase()) && !number && !matches!(first, "str" | "char" | "bool")
}

/// What a path of another crate does to the machine.
fn touches(path: &str) -> Option<&'static str> {
    let begins = |with: &str| path.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    if HARMLESS.iter().any(|with| begins(with)) {
        return None;
    }
    // execv, execve, execvp, …
    let exec = |with: &str| with.ends_with("::exec") && path.starts_with(with);
    HOST_PATHS.iter().find(|(with, _)| begins(with) || exec(with)).map(|(_, does)| *does)
}

fn is_host_text(text: &Text) -> bool {
    let name = text.value.rsplit('/').next().unwrap_or_default();
    let is_file =
        |file: &&str| text.value.strip_prefix(*file).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let started = text.argument_of.as_deref().is_some_and(|function| STARTERS.contains(&function));
    HOST_FILES.iter().any(is_file) || HOST_PROGRAMS.contains(&name) || started && HOST_WORDS.contains(&name)
}
