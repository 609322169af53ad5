//! `iapeer logs`: the three event logs merged by time, for one peer or all; new lines can be followed.

use crate::base::clock::EpochMs;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Personality};
use crate::base::output;
use crate::base::paths::Paths;
use crate::store::durable;
use crate::store::event_log::{Log, parse, time_of};
use crate::store::open::{self, Rule};
use crate::world::World;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// How often a followed log is read.
const FOLLOW: Duration = Duration::from_millis(200);
const LOGS: [Log; 3] = [Log::Lifecycle, Log::Delivery, Log::Exits];

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only lines about this peer.
    pub peer: Option<Personality>,
    /// Only lines since then.
    pub since: Option<EpochMs>,
}

/// How many bytes at the end of each log are read for [`NewestLines`].
const NEWEST: u64 = 256 << 10;
/// How many lines [`NewestLines`] keeps.
const KEPT: usize = 4000;

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line as it is in the file.
    pub text: String,
    /// The log it is from.
    pub log: &'static str,
    at: Option<EpochMs>,
    pairs: Vec<(String, String)>,
}

impl Line {
    /// The line as a JSON object, with the log's name. Values are strings, but numbers in the fields that are numbers.
    pub fn json(&self) -> Value {
        let typed = |(key, value): &(String, String)| {
            (key.clone(), number(key, value).unwrap_or_else(|| value.as_str().into()))
        };
        let mut map: Map<String, Value> = self.pairs.iter().map(typed).collect();
        map.insert("log".into(), self.log.into());
        Value::Object(map)
    }

    /// The line in short: local time of the day, event, and the other fields without the peer's name.
    pub(crate) fn brief(&self) -> String {
        let get = |name: &str| self.pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let time = self.at.map_or_else(String::new, EpochMs::local_time);
        let rest =
            self.pairs.iter().filter(|(key, _)| !["ts", "ev", "identity", "personality"].contains(&key.as_str()));
        let rest: Vec<String> = rest.map(|(key, value)| format!("{key}={value}")).collect();
        format!("{time} {} {}", get("ev"), rest.join(" "))
    }

    fn is(&self, wanted: &Wanted) -> bool {
        let about = |name: &Personality| {
            self.pairs.iter().any(|(key, value)| match key.as_str() {
                "identity" | "caller" => value.parse::<Identity>().is_ok_and(|id| id.personality() == name),
                "personality" | "to" => value == name.as_str(),
                _ => false,
            })
        };
        wanted.peer.as_ref().is_none_or(about) && wanted.since.is_none_or(|since| self.at.is_some_and(|at| at >= since))
    }
}

/// The fields of a log that are numbers. In another field, digits alone are still a text.
const NUMBERS: [&str; 16] = [
    "ms",
    "len",
    "att",
    "server",
    "server_pid",
    "wait_rc",
    "dead_status",
    "rc",
    "exit",
    "nice",
    "depth",
    "seq",
    "attempts",
    "redelivered",
    "qd",
    "changed",
];

fn number(key: &str, value: &str) -> Option<Value> {
    NUMBERS.contains(&key).then(|| value.parse::<i64>().ok()).flatten().map(Value::from)
}

/// The time that `--since` names: `90s`, `10m`, `2h`, `3d` ago, or a time as `2026-01-31T12:00:00Z`.
pub fn since(text: &str, now: EpochMs) -> Result<EpochMs, Failure> {
    let split = text.len() - text.chars().next_back().map_or(0, char::len_utf8);
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    if let (Some(unit), Ok(number)) = (unit, number.parse::<u32>()) {
        return Ok(now.minus(Duration::from_secs(u64::from(number) * unit)));
    }
    time_of(&[("ts".to_owned(), text.to_owned())]).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("--since {text:?}: give 90s, 10m, 2h, 3d or a time as 2026-01-31T12:00:00Z"))
    })
}

/// How far a log has been read.
#[derive(Debug)]
struct Reader {
    log: Log,
    path: PathBuf,
    inode: u64,
    offset: u64,
}

impl Reader {
    /// The lines that are new since the last reading. Of a log that was rotated meanwhile, the old file is read to its end
    /// first.
    fn read(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        let now = std::fs::metadata(&self.path).map(|meta| meta.ino()).unwrap_or_default();
        if now != self.inode && self.inode != 0 {
            let rotated = PathBuf::from(format!("{}.1", self.path.display()));
            if std::fs::metadata(&rotated).is_ok_and(|meta| meta.ino() == self.inode) {
                lines.extend(self.read_file(&rotated));
            }
            self.offset = 0;
        }
        self.inode = now;
        let path = self.path.clone();
        lines.extend(self.read_file(&path));
        lines
    }

    fn read_file(&mut self, path: &std::path::Path) -> Vec<Line> {
        let Ok(Some((mut file, _))) = open::open(path, Rule::LOG) else { return Vec::new() };
        let mut bytes = Vec::new();
        if file
            .seek(SeekFrom::Start(self.offset))
            .and_then(|_| file.take(open::LOG_MAX).read_to_end(&mut bytes))
            .is_err()
        {
            return Vec::new();
        }
        // A line that is still being written is read next time.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.offset += whole as u64;
        lines_of(self.log, &bytes[..whole])
    }
}

/// The files of the logs.
pub(crate) fn files(paths: &Paths) -> [PathBuf; 3] {
    LOGS.map(|log| paths.event_log(log.file_name()))
}

/// The newest lines of the logs, which are read on as the logs grow.
pub(crate) struct NewestLines {
    readers: Vec<Reader>,
    lines: VecDeque<Line>,
}

impl NewestLines {
    /// Reads the end of each log.
    pub(crate) fn open(world: &World<'_>) -> NewestLines {
        let readers = LOGS.map(|log| {
            let path = world.paths.event_log(log.file_name());
            let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
            Reader { log, path, inode: 0, offset: size.saturating_sub(NEWEST) }
        });
        let cut = readers.each_ref().map(|reader| reader.offset > 0);
        let mut newest = NewestLines { readers: readers.into(), lines: VecDeque::new() };
        let mut lines = Vec::new();
        for (reader, cut) in newest.readers.iter_mut().zip(cut) {
            // Where the reading began inside a file, the first line may be incomplete.
            lines.extend(reader.read().into_iter().skip(usize::from(cut)));
        }
        newest.take(lines);
        newest
    }

    /// Reads the new lines.
    pub(crate) fn read_on(&mut self) {
        let lines: Vec<Line> = self.readers.iter_mut().flat_map(Reader::read).collect();
        self.take(lines);
    }

    fn take(&mut self, mut lines: Vec<Line>) {
        lines.sort_by_key(|line| line.at);
        self.lines.extend(lines);
        let over = self.lines.len().saturating_sub(KEPT);
        self.lines.drain(..over);
    }

    /// The newest lines about `peer`, at most `most`, the oldest first.
    pub(crate) fn about(&self, peer: &Personality, most: usize) -> Vec<&Line> {
        let wanted = Wanted { peer: Some(peer.clone()), since: None };
        let mut found: Vec<&Line> = self.lines.iter().rev().filter(|line| line.is(&wanted)).take(most).collect();
        found.reverse();
        found
    }
}

fn lines_of(log: Log, bytes: &[u8]) -> Vec<Line> {
    let name = log.file_name().trim_end_matches(".log");
    String::from_utf8_lossy(bytes)
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let pairs = parse(line);
            Line { text: line.to_owned(), log: name, at: time_of(&pairs), pairs }
        })
        .collect()
}

/// Gives the wanted lines to `tell`, oldest first; with `follow` also new ones, until the program is ended or nobody reads
/// its output.
pub fn read(world: &World<'_>, wanted: &Wanted, follow: bool, mut tell: impl FnMut(&Line)) -> Result<(), Failure> {
    let (mut readers, mut lines) = so_far(world)?;
    loop {
        // Stable: lines of one log keep their order.
        lines.sort_by_key(|line| line.at);
        lines.drain(..).filter(|line| line.is(wanted)).for_each(|line| tell(&line));
        if !follow || !output::is_heard() {
            return Ok(());
        }
        world.clock.sleep(FOLLOW);
        for reader in &mut readers {
            lines.extend(reader.read());
        }
    }
}

/// Whether any line is about `peer`, which may no longer be registered.
pub fn mention(world: &World<'_>, peer: &Personality) -> Result<bool, Failure> {
    let wanted = Wanted { peer: Some(peer.clone()), since: None };
    Ok(so_far(world)?.1.iter().any(|line| line.is(&wanted)))
}

/// The time of a line, and its keys and values.
pub(crate) type TimedLine = (EpochMs, Vec<(String, String)>);

/// All lines of `lifecycle.log` and `exits.log` that have a time, in the order of time.
pub(crate) fn timed(world: &World<'_>) -> Result<Vec<TimedLine>, Failure> {
    let mut lines = Vec::new();
    for log in [Log::Lifecycle, Log::Exits] {
        lines.extend(so_far_of(world, log)?.1.into_iter().filter_map(|line| Some((line.at?, line.pairs))));
    }
    lines.sort_by_key(|(at, _)| *at);
    Ok(lines)
}

/// The present lines of all logs, log by log, and the readers for later lines.
fn so_far(world: &World<'_>) -> Result<(Vec<Reader>, Vec<Line>), Failure> {
    let (mut readers, mut lines) = (Vec::new(), Vec::new());
    for log in LOGS {
        let (reader, found) = so_far_of(world, log)?;
        readers.push(reader);
        lines.extend(found);
    }
    Ok((readers, lines))
}

fn so_far_of(world: &World<'_>, log: Log) -> Result<(Reader, Vec<Line>), Failure> {
    let mut lines = Vec::new();
    let names = durable::names_of(&world.paths.event_log_dir())?;
    let path = world.paths.event_log(log.file_name());
    let number = |name: &String| name.strip_prefix(log.file_name())?.strip_prefix('.')?.parse::<u64>().ok();
    // All rotated files: their number depends on earlier settings.
    let mut rotated: Vec<u64> = names.iter().filter_map(number).collect();
    rotated.sort_unstable();
    for n in rotated.iter().rev() {
        let rotated = PathBuf::from(format!("{}.{n}", path.display()));
        if let Ok(Some(bytes)) = open::read(&rotated, Rule::LOG) {
            lines.extend(lines_of(log, &bytes));
        }
    }
    let mut reader = Reader { log, path, inode: 0, offset: 0 };
    lines.extend(reader.read());
    Ok((reader, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_as_a_table() {
        let now = EpochMs(10_000_000_000);
        for (text, at) in [
            ("90s", Some(9_999_910_000)),
            ("2h", Some(9_992_800_000)),
            ("1d", Some(9_913_600_000)),
            ("1970-01-01T00:00:05Z", Some(5000)),
            ("", None),
            ("x", None),
            ("5ü", None),
            ("-5m", None),
        ] {
            assert_eq!(since(text, now).ok(), at.map(EpochMs), "{text}");
        }
    }
}
