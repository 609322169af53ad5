//! Opening files that another program or person may have put there: without waiting, without following a link where
//! none is expected, and without reading more than a file of that kind can have.
//!
//! `open` of a FIFO without a writer would block for ever, with the caller's locks held; reading a link to a device
//! would go on until memory is full. Here each of these is an error that names the file and concerns only the peer
//! whose file it is.

use crate::store::error::StoreError;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

pub use crate::store::error::{Fault, Unfit};

/// Largest state file, profile, manifest or queue item. A message has 16,000 characters.
pub(crate) const STATE_MAX: u64 = 1 << 20;
/// Largest `launch.env`.
pub(crate) const LAUNCH_ENV_MAX: u64 = 256 << 10;
/// Largest registry: room for some hundred thousand peers.
pub(crate) const REGISTRY_MAX: u64 = 64 << 20;
/// Largest log that is read whole.
pub(crate) const LOG_MAX: u64 = 256 << 20;

/// Never wait in `open`, never take over a terminal, never follow a link at the end of the path.
pub(crate) const NO_WAIT_NO_LINK: i32 = nix::libc::O_NONBLOCK | nix::libc::O_NOFOLLOW | nix::libc::O_NOCTTY;
/// [`NO_WAIT_NO_LINK`] without the refusal of links, for files that users may keep elsewhere and link to.
pub(crate) const NO_WAIT: i32 = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refused the operation.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file does not meet the requirements.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl OpenError {
    fn stored(self, path: &Path) -> StoreError {
        match self {
            OpenError::Io(error) => StoreError::io("read", path, error),
            OpenError::Unfit(unfit) => StoreError::Unfit(unfit),
        }
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(error) => error,
            OpenError::Unfit(unfit) => io::Error::new(ErrorKind::InvalidInput, unfit),
        }
    }
}

/// Whether a link at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// A link is followed: people may keep the file elsewhere (documents, manifests).
    Followed,
    /// A link is refused.
    Refused,
}

/// Who has to own a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Anybody: the folder above is private, so nobody else can have put the file there.
    Any,
    /// The file must be owned by this user and not writable by others, since its content is acted on.
    Ours,
}

/// The requirements for a kind of file.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Longest content, in bytes.
    pub max: u64,
    /// Whether links are followed.
    pub links: Links,
    /// The required owner.
    pub owner: Owner,
}

impl Rule {
    /// A file of ours below the private root.
    pub const STATE: Rule = Rule { max: STATE_MAX, links: Links::Refused, owner: Owner::Any };
    /// The registry.
    pub(crate) const REGISTRY: Rule = Rule { max: REGISTRY_MAX, ..Rule::STATE };
    /// A file below a peer's `.iapeer`.
    pub(crate) const OF_A_PEER: Rule = Rule { max: STATE_MAX, links: Links::Refused, owner: Owner::Ours };
    /// A `launch.env`.
    pub(crate) const LAUNCH_ENV: Rule = Rule { max: LAUNCH_ENV_MAX, ..Rule::OF_A_PEER };
    /// A text or a description in the root that people may keep elsewhere and link to.
    pub(crate) const DOCUMENT: Rule = Rule { max: STATE_MAX, links: Links::Followed, owner: Owner::Any };
    /// The same below a peer's `.iapeer`.
    pub(crate) const DOCUMENT_OF_A_PEER: Rule = Rule { owner: Owner::Ours, ..Rule::DOCUMENT };
    /// A log or another file that grows.
    pub(crate) const LOG: Rule = Rule { max: LOG_MAX, ..Rule::STATE };
}

/// Opens `path` for reading by `rule`, whose `max` is left to the caller. `None`: it is missing.
pub fn open(path: &Path, rule: Rule) -> Result<Option<(File, Metadata)>, OpenError> {
    let flags = if rule.links == Links::Refused { NO_WAIT_NO_LINK } else { NO_WAIT };
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(explain(path, error)),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(Unfit::new(path, Fault::Kind(kind_of(&meta))).into());
    }
    if rule.owner == Owner::Ours {
        check_ours(path, &meta)?;
    }
    Ok(Some((file, meta)))
}

/// Turns an error of `open` into the fault of the file, where the file's kind explains the error.
fn explain(path: &Path, error: io::Error) -> OpenError {
    // ELOOP: a link; ENXIO: a socket, or a device without its driver.
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() && error.raw_os_error() == Some(nix::libc::ELOOP) => {
            Unfit::new(path, Fault::Link).into()
        }
        Ok(meta) if !meta.is_file() && !meta.is_symlink() && error.raw_os_error() == Some(nix::libc::ENXIO) => {
            Unfit::new(path, Fault::Kind(kind_of(&meta))).into()
        }
        _ => error.into(),
    }
}

/// Reads the file at `path` by `rule`. `None`: it is missing.
pub fn read(path: &Path, rule: Rule) -> Result<Option<Vec<u8>>, StoreError> {
    read_whole(path, rule).map_err(|error| error.stored(path))
}

/// The text of the file at `path`, which people may keep elsewhere and link to. `None`: it is missing, or can't be read.
pub(crate) fn text(path: &Path) -> Option<String> {
    let bytes = read(path, Rule::DOCUMENT).ok()??;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn read_whole(path: &Path, rule: Rule) -> Result<Option<Vec<u8>>, OpenError> {
    let Some((file, meta)) = open(path, rule)? else { return Ok(None) };
    let large = |len| Err(Unfit::new(path, Fault::Large(len, rule.max)).into());
    if meta.len() > rule.max {
        return large(meta.len());
    }
    // One byte more than the size, so that the read that finds the end does not enlarge the buffer.
    let mut bytes = Vec::with_capacity(meta.len() as usize + 1);
    file.take(rule.max.saturating_add(1)).read_to_end(&mut bytes)?;
    // The file may have grown since; files in /proc report a size of 0.
    if bytes.len() as u64 > rule.max { large(bytes.len() as u64) } else { Ok(Some(bytes)) }
}

/// What is wrong with the file at `path` by `rule`, without opening it. A missing file is fine.
pub fn fault(path: &Path, rule: Rule) -> Option<Unfit> {
    let look = if rule.links == Links::Refused { fs::symlink_metadata(path) } else { fs::metadata(path) };
    let meta = match look {
        Ok(meta) => meta,
        // A link to nothing, or to itself.
        Err(_) if path.is_symlink() => return Some(Unfit::new(path, Fault::Link)),
        Err(_) => return None,
    };
    if meta.is_symlink() {
        return Some(Unfit::new(path, Fault::Link));
    }
    if !meta.is_file() {
        return Some(Unfit::new(path, Fault::Kind(kind_of(&meta))));
    }
    if meta.len() > rule.max {
        return Some(Unfit::new(path, Fault::Large(meta.len(), rule.max)));
    }
    // Root may read a file of any mode.
    if meta.mode() & 0o400 == 0 && !nix::unistd::geteuid().is_root() {
        return Some(Unfit::new(path, Fault::Shut(meta.mode() & 0o7777)));
    }
    if rule.owner == Owner::Ours { check_ours(path, &meta).err() } else { None }
}

/// What is wrong with `path` as a folder of ours. A missing folder is fine.
pub(crate) fn folder_fault(path: &Path) -> Option<Unfit> {
    let meta = fs::symlink_metadata(path).ok()?;
    if !meta.is_dir() {
        return Some(Unfit::new(path, Fault::NoFolder(kind_of(&meta))));
    }
    check_ours(path, &meta).err()
}

fn check_ours(path: &Path, meta: &Metadata) -> Result<(), Unfit> {
    let me = nix::unistd::geteuid().as_raw();
    if meta.uid() != me {
        return Err(Unfit::new(path, Fault::Owner(meta.uid(), me)));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(Unfit::new(path, Fault::Open(meta.mode() & 0o7777)));
    }
    Ok(())
}

fn kind_of(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    if kind.is_fifo() {
        "FIFO"
    } else if kind.is_dir() {
        "folder"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_symlink() {
        "link"
    } else if kind.is_file() {
        "file"
    } else {
        "device"
    }
}

/// Text without the byte order mark that some editors put before it.
pub(crate) fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    fn fault_of(path: &Path, rule: Rule) -> Fault {
        match read(path, rule) {
            Err(StoreError::Unfit(unfit)) => {
                assert_eq!(unfit.path, path);
                unfit.fault
            }
            other => panic!("{}: {other:?}", path.display()),
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("file"), "x").unwrap();
        for (link, to) in [("to-file", "file"), ("to-fifo", "fifo"), ("loop", "loop"), ("dangling", "nowhere")] {
            symlink(at(to), at(link)).unwrap();
        }
        symlink("/dev/zero", at("to-zero")).unwrap();
        for (name, kind) in [("fifo", "FIFO"), ("socket", "socket"), ("folder", "folder")] {
            assert_eq!(fault_of(&at(name), Rule::STATE), Fault::Kind(kind));
            assert_eq!(fault(&at(name), Rule::STATE).map(|unfit| unfit.fault), Some(Fault::Kind(kind)));
        }
        for name in ["to-file", "to-fifo", "loop", "dangling", "to-zero"] {
            assert_eq!(fault_of(&at(name), Rule::STATE), Fault::Link, "{name}");
            assert_eq!(fault(&at(name), Rule::STATE).map(|unfit| unfit.fault), Some(Fault::Link), "{name}");
        }
        let followed = Rule { links: Links::Followed, ..Rule::STATE };
        assert_eq!(read(&at("to-file"), followed).unwrap(), Some(b"x".to_vec()));
        assert_eq!(fault_of(&at("to-fifo"), followed), Fault::Kind("FIFO"));
        assert_eq!(fault_of(&at("to-zero"), followed), Fault::Kind("device"));
        assert_eq!(read(&at("dangling"), followed).unwrap(), None);
        assert_eq!(fault_of(&at("loop"), followed), Fault::Link);
        assert_eq!(read(&at("nowhere"), Rule::STATE).unwrap(), None);
    }

    #[test]
    fn a_file_is_read_up_to_its_cap() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let rule = Rule { max: 4, ..Rule::STATE };
        fs::write(&path, "1234").unwrap();
        assert_eq!(read(&path, rule).unwrap().unwrap(), b"1234");
        fs::write(&path, "12345").unwrap();
        assert_eq!(fault_of(&path, rule), Fault::Large(5, 4));
        // A sparse file of 300 MB.
        File::create(&path).unwrap().set_len(300 << 20).unwrap();
        assert_eq!(fault_of(&path, Rule::STATE), Fault::Large(300 << 20, STATE_MAX));
    }

    #[test]
    fn what_others_may_write_is_refused_where_it_has_to_be_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("launch.env");
        fs::write(&path, "A=1").unwrap();
        for (mode, fine) in [(0o600, true), (0o644, true), (0o640, true), (0o660, false), (0o602, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path, Rule::LAUNCH_ENV).is_ok(), fine, "{mode:o}");
            assert_eq!(fault(&path, Rule::LAUNCH_ENV).is_none(), fine, "{mode:o}");
            assert!(read(&path, Rule::STATE).is_ok());
        }
    }
}
