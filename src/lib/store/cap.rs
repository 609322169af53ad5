//! Bounds the size of a file while another program appends to it.

use crate::store::open::NO_WAIT_NO_LINK;
use std::fs::{File, FileTimes, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Cuts `path` to its last `keep` bytes, in place, if it is larger than `cap` bytes. Returns whether it did.
///
/// In place, because another program holds the file open for appending; what that program appends during the rewrite
/// may be lost. The file's modification time stays, because it is read as a sign of activity.
pub(crate) fn keep_tail(path: &Path, cap: u64, keep: u64) -> io::Result<bool> {
    // A link is not followed: its target is not ours.
    let meta = std::fs::symlink_metadata(path)?;
    let len = meta.len();
    if len <= cap || !meta.is_file() {
        return Ok(false);
    }
    let mut file: File = OpenOptions::new().read(true).write(true).custom_flags(NO_WAIT_NO_LINK).open(path)?;
    let modified = file.metadata()?.modified()?;
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(len.saturating_sub(keep)))?;
    file.read_to_end(&mut tail)?;
    file.rewind()?;
    file.write_all(&tail)?;
    file.set_len(tail.len() as u64)?;
    file.set_times(FileTimes::new().set_modified(modified))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_stays_and_so_does_the_time_and_an_appender_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pane.log");
        std::fs::write(&path, "0123456789").unwrap();
        let mut appender = OpenOptions::new().append(true).open(&path).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        appender.set_times(FileTimes::new().set_modified(old)).unwrap();
        assert!(!keep_tail(&path, 10, 4).unwrap());
        assert!(keep_tail(&path, 9, 4).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), old);
        appender.write_all(b"x").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"6789x");
    }
}
