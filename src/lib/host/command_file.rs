//! A file from which a program reads commands while it runs, one JSON line each.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Makes `path` an empty file: what is in it when the program starts is not read.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map(drop)
}

/// Adds `line` to the file at `path`, which is there.
pub(crate) fn append(path: &Path, line: &str) -> io::Result<()> {
    // In one write: the program may read at any moment.
    OpenOptions::new().append(true).open(path)?.write_all(format!("{line}\n").as_bytes())
}
