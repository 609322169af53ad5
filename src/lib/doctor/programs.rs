//! iapeer's programs that other programs start: which of them can't be run, and what does not work without them.

use super::finding::{Finding, MendError};
use crate::base::exit::Exit;
use crate::host::obstacle::{Obstacle, ObstacleKind};
use crate::session::launch;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// These programs, each with what does not work without it. A runtime's program has a check of its own.
const STARTED_BY_OTHERS: [(&str, &str); 8] = [
    ("iapeer-drain", "no message is delivered"),
    ("iapeer-superviser", "no tick notices a death, an idle peer, or a waiting message"),
    ("iapeer-canary", "the causes of deaths are not recorded"),
    ("iapeer-turn", "agents can't report that they took a message"),
    ("iapeer-send", "agents without send_to_peer can't answer"),
    ("iapeer-mcp", "agents can't send by send_to_peer"),
    ("iapeer-run", "peers that are always on do not start"),
    ("iapeer-telegram", "no message is sent or received by Telegram"),
];

/// Programs of iapeer that can't be run from this program's folder.
pub(crate) fn programs<'a>() -> Vec<Finding<'a>> {
    STARTED_BY_OTHERS.iter().filter_map(|(name, without)| program(launch::bin_dir(), name, without)).collect()
}

fn program<'a>(dir: &Path, name: &str, without: &str) -> Option<Finding<'a>> {
    let obstacle = Obstacle::to(&dir.join(name))?;
    let exit = match obstacle.kind {
        ObstacleKind::Missing | ObstacleKind::NotAFile => Exit::Refused,
        _ => Exit::NoPerm,
    };
    let what = format!("{}: {without}", obstacle.what());
    let finding = Finding::error("programs", exit, obstacle.program.display(), what).todo(obstacle.todo());
    Some(match obstacle.kind {
        ObstacleKind::NotExecutable => finding.mend(move || make_executable(&obstacle.program)),
        _ => finding,
    })
}

/// Makes the program executable for all who may read it.
fn make_executable(program: &Path) -> Result<(), MendError> {
    let failed = |source| MendError::File { what: "change", path: program.to_owned(), source };
    let mode = fs::metadata(program).map_err(failed)?.permissions().mode();
    fs::set_permissions(program, Permissions::from_mode(mode | (mode & 0o444) >> 2)).map_err(failed)
}
