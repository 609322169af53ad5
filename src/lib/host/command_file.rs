//! A file from which a program reads commands while it runs, one JSON line each.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Creates an empty file at `path`, or empties it: the program does not read what is in it at its start.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map(drop)
}

/// Appends `line` to the file at `path`, which must exist.
pub(crate) fn append(path: &Path, line: &str) -> io::Result<()> {
    // In one write, since the program may read at any moment.
    OpenOptions::new().append(true).open(path)?.write_all(format!("{line}\n").as_bytes())
}
