//! `state/due/`: which identities a tick has to examine. One empty file (a mark) for each identity that has, or may
//! have, a session, a waiting message or anything else that a tick acts on.
//!
//! ```text
//! a program that acts:       lock → mark → act → mark again
//! a tick, under the lock:    at rest → rename the mark → nobody acts, and still at rest → remove the renamed mark
//!                                                      → otherwise mark again, then remove the renamed mark
//! ```
//!
//! Most changes are made under the identity's lock, which the tick holds too. Acceptance and changes of what the peer waits
//! for have locks of their own: whoever holds one of these at the check may be between the first mark and the act, and die
//! after the act. A renamed mark that a killed tick left counts as a mark.
//!
//! So the cost of a tick depends on the number of active identities, not of all. Changes without a mark (files moved by
//! hand, the effects of a power cut) are found by a full tick, which examines every identity: after a boot, every hour,
//! and when this folder was removed.

use crate::base::clock::EpochMs;
use crate::base::identity::Identity;
use crate::base::paths::Paths;
use crate::base::step::{self, Point};
use crate::store::durable::{self, StoreError};
use crate::store::open::NO_WAIT_NO_LINK;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a full tick is made.
const FULL_LOOK: Duration = Duration::from_secs(3600);

/// How the name of a mark ends while a tick removes it.
const UNMARKING: &str = ".unmarking";

/// The marks of one root.
#[derive(Debug, Clone)]
pub struct Due {
    dir: PathBuf,
}

impl Due {
    /// The marks below `paths`.
    pub fn of(paths: &Paths) -> Due {
        Due { dir: paths.due_dir() }
    }

    /// Marks `identity`. Costs one stat where the identity is marked already.
    pub fn mark(&self, identity: &Identity) -> Result<(), StoreError> {
        let path = self.dir.join(identity.as_str());
        let made = match touch(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.make_dir().and_then(|()| touch(&path)),
            made => made,
        };
        made.map_err(|error| StoreError::io("mark", &path, error))
    }

    /// Removes the mark of `identity`, unless `is_at_rest` is no longer so once the mark is renamed. Not durable: a mark too
    /// many only makes a tick examine the identity once more. An error leaves the identity marked.
    pub(crate) fn unmark(&self, identity: &Identity, is_at_rest: impl FnOnce() -> bool) -> Result<(), StoreError> {
        let (mark, unmarking) = (self.dir.join(identity.as_str()), self.unmarking(identity));
        match step::rename(Point::DueUnmarking, &mark, &unmarking) {
            // A killed tick has renamed it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            renamed => renamed.map_err(|error| StoreError::io("rename", &mark, error))?,
        }
        if !is_at_rest() {
            self.mark(identity)?;
        }
        step::unlink(Point::DueUnmark, &unmarking).map_err(|error| StoreError::io("remove", &unmarking, error))
    }

    fn unmarking(&self, identity: &Identity) -> PathBuf {
        self.dir.join(format!("{identity}{UNMARKING}"))
    }

    /// Whether `identity` is marked.
    pub fn is_marked(&self, identity: &Identity) -> bool {
        self.dir.join(identity.as_str()).exists() || self.unmarking(identity).exists()
    }

    /// All marked identities.
    pub fn marked(&self) -> Result<BTreeSet<Identity>, StoreError> {
        let marked = |name: &String| name.strip_suffix(UNMARKING).unwrap_or(name).parse().ok();
        Ok(durable::names_of(&self.dir)?.iter().filter_map(marked).collect())
    }

    fn make_dir(&self) -> io::Result<()> {
        // The folder above exists: `Paths::ensure` has created it at the program's start.
        match step::mkdir(Point::DueMkdir, &self.dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    fn looked(&self) -> PathBuf {
        self.dir.join(".looked")
    }

    /// Whether the marks are enough: the last full tick was in this boot of the machine and within the last hour.
    pub(crate) fn suffices(&self, now: EpochMs, boot: Option<&str>) -> bool {
        let noted = durable::read_optional(&self.looked()).ok().flatten().and_then(|text| String::from_utf8(text).ok());
        let Some((at, in_boot)) = noted.as_deref().and_then(|text| text.strip_suffix('\n')?.split_once(' ')) else {
            return false;
        };
        // Where the clock was set back, the last full tick may lie in the future.
        EpochMs::parse(at).is_some_and(|at| at <= now && now.since(at) < FULL_LOOK)
            && in_boot == boot.unwrap_or_default()
    }

    /// Notes a full tick that began at `started`.
    pub(crate) fn note_full_look(&self, started: EpochMs, boot: Option<&str>) -> Result<(), StoreError> {
        let text = format!("{} {}\n", started.utc(), boot.unwrap_or_default());
        self.make_dir().map_err(|error| StoreError::io("make", &self.dir, error))?;
        durable::write_volatile(&self.looked(), text.as_bytes())
    }
}

fn touch(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).custom_flags(NO_WAIT_NO_LINK);
    step::open(Point::DueMark, path, &mut options).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> (tempfile::TempDir, Due) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| dir.path().join("root"))).unwrap();
        paths.ensure().unwrap();
        (dir, Due::of(&paths))
    }

    #[test]
    fn a_mark_stays_until_it_is_taken_away() {
        let (_dir, due) = marks();
        let bob: Identity = "parrot-bob".parse().unwrap();
        assert_eq!((due.marked().unwrap().len(), due.is_marked(&bob)), (0, false));
        for _ in 0..2 {
            due.mark(&bob).unwrap();
        }
        assert_eq!(due.marked().unwrap(), BTreeSet::from([bob.clone()]));
        due.unmark(&bob, || false).unwrap();
        assert!(due.is_marked(&bob) && !due.unmarking(&bob).exists(), "somebody has acted in between");
        due.unmark(&bob, || true).unwrap();
        assert!(!due.is_marked(&bob) && due.marked().unwrap().is_empty());
    }

    #[test]
    fn a_mark_that_a_killed_tick_has_renamed_is_a_mark() {
        let (_dir, due) = marks();
        let bob: Identity = "parrot-bob".parse().unwrap();
        due.mark(&bob).unwrap();
        std::fs::rename(due.dir.join("parrot-bob"), due.unmarking(&bob)).unwrap();
        for _ in 0..2 {
            assert_eq!(due.marked().unwrap(), BTreeSet::from([bob.clone()]));
            assert!(due.is_marked(&bob));
            due.unmark(&bob, || false).unwrap();
        }
        due.unmark(&bob, || true).unwrap();
        assert!(!due.is_marked(&bob) && due.marked().unwrap().is_empty());
    }

    #[test]
    fn everything_is_looked_at_each_hour_after_a_boot_and_when_the_clock_was_set_back() {
        let (_dir, due) = marks();
        let at = EpochMs(1_795_273_907_006);
        let later = |secs: u64| EpochMs(at.0 + secs * 1000);
        assert!(!due.suffices(at, Some("a")));
        due.mark(&"parrot-bob".parse().unwrap()).unwrap();
        due.note_full_look(at, Some("a")).unwrap();
        for (now, boot, suffices) in [
            (at, Some("a"), true),
            (later(3599), Some("a"), true),
            (later(3600), Some("a"), false),
            (EpochMs(at.0 - 1), Some("a"), false),
            (at, Some("b"), false),
            (at, None, false),
        ] {
            assert_eq!(due.suffices(now, boot), suffices, "{now:?} {boot:?}");
        }
        assert_eq!(due.marked().unwrap().len(), 1);
        std::fs::write(due.looked(), "torn").unwrap();
        assert!(!due.suffices(at, Some("a")));
        due.note_full_look(at, None).unwrap();
        assert!(due.suffices(at, None));
    }
}
