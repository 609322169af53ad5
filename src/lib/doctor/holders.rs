//! Programs that hold a lock for too long, or were stopped by a signal while they hold one, so that all programs that need
//! the lock wait.

use super::finding::Finding;
use crate::base::StateFile;
use crate::base::exit::Exit;
use crate::base::identity::Identity;
use crate::base::span::said;
use crate::host::process::{self, Doing};
use crate::operator::status;
use crate::store::lock;
use crate::world::World;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A program that is not expected to release its lock soon.
struct Stuck {
    /// `pid N (program)`, as that program wrote.
    holder: String,
    pid: Option<i32>,
    doing: Doing,
    since: Duration,
}

/// The program that holds the lock at `path`, if it is stopped, or holds the lock for longer than `fine`.
fn stuck(path: &Path, fine: Duration) -> Option<Stuck> {
    let taken = std::fs::metadata(path).and_then(|meta| meta.modified()).ok()?;
    if !lock::is_seen_held(path) {
        return None;
    }
    let since = SystemTime::now().duration_since(taken).unwrap_or_default();
    let pid = lock::holder_pid(path);
    let doing = pid.and_then(process::doing).unwrap_or_default();
    (doing.stopped || since > fine).then(|| Stuck { holder: lock::holder(path), pid, doing, since })
}

impl Stuck {
    fn what(&self) -> String {
        let waits = match &self.doing {
            Doing { stopped: true, .. } => ", which a signal has stopped".to_owned(),
            Doing { waits_for: Some(what), .. } => format!(", which waits for {what}"),
            _ => String::new(),
        };
        format!("{} for {}{waits}", self.holder, said(self.since))
    }

    /// What to do: ending a program of iapeer loses nothing, since the next one continues its work.
    fn todo(&self) -> String {
        match self.pid {
            Some(pid) if self.doing.stopped => format!("`kill -CONT {pid}` resumes it"),
            Some(pid) => format!("`kill {pid}` ends it, and the next program completes its work"),
            None => "end the program that holds it; the next program completes its work".to_owned(),
        }
    }
}

/// A tick that does not end.
pub(crate) fn tick<'a>(world: &'a World<'a>) -> Option<Finding<'a>> {
    let stuck = stuck(&world.paths.superviser_lock(), status::TICK_IS_DUE)?;
    let what = format!("hangs, in {}: no tick notices a death, an idle peer, or a waiting message", stuck.what());
    Some(Finding::error("tick", Exit::TryAgain, "tick", what).todo(stuck.todo()))
}

/// A lock of one identity that is held for too long. `None`: the program that holds it is at work.
pub(crate) fn identity<'a>(world: &'a World<'a>, identity: &Identity) -> Option<Finding<'a>> {
    let settings = world.settings;
    let fine = (settings.boot_deadline + settings.ready_gate).max(settings.midturn_wait);
    let stuck = stuck(&world.paths.state(identity, StateFile::Lock), fine)?;
    let what = format!("its lock is held by {}: no other program can act on it", stuck.what());
    Some(Finding::warn("state", identity, what).todo(stuck.todo()))
}
