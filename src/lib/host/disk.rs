//! The free space of a file system.

use std::io;
use std::path::Path;

/// The free space for an ordinary user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Bytes.
    pub bytes: u64,
    /// The number of files; `None` where the file system has no limit for it.
    pub files: Option<u64>,
}

/// The free space of the file system that `path` is on.
pub(crate) fn space(path: &Path) -> io::Result<Space> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    #[allow(clippy::useless_conversion, reason = "their widths are the platform's")]
    let number = u64::from;
    let files = (stat.files() > 0).then(|| number(stat.files_available()));
    #[allow(clippy::useless_conversion, reason = "their widths are the platform's")]
    Ok(Space { bytes: u64::from(stat.blocks_available()) * u64::from(stat.fragment_size()), files })
}

/// Why nothing can be written to `path`, as far as its mode and its mount tell. The free space is not considered.
pub(crate) fn unwritable(path: &Path) -> Option<String> {
    let refused = nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).err()?;
    Some(refused.desc().to_owned())
}

/// Whether the file system that `path` is on is mounted read-only.
pub(crate) fn is_read_only(path: &Path) -> bool {
    nix::sys::statvfs::statvfs(path).is_ok_and(|stat| stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
}
