//! Which root the folder of `IAPEER_SOCK_DIR` belongs to. Two roots with one such folder would take each other's sessions
//! for their own, since peers of both may have the same name.

use crate::base::exit::{Exit, Failure};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The link in the socket folder whose target is the root.
pub(crate) const LINK: &str = "iapeer-root";

/// Whose a socket folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The root that asks.
    Ours,
    /// No root's, or that of a root that no longer exists.
    Nobody,
    /// This other root's.
    Other(PathBuf),
    /// Not known: something else has the link's name.
    NoLink,
}

/// Whether both paths lead to one folder.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other || fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}

/// Whose the folder `sockets` is, for `root`.
pub(crate) fn of(sockets: &Path, root: &Path) -> io::Result<Owner> {
    let owner = match fs::read_link(sockets.join(LINK)) {
        Ok(owner) => owner,
        // The folder that a root has unless it names another one needs no link.
        Err(error) if error.kind() == ErrorKind::NotFound && sockets.ends_with("socks") => {
            let above = sockets.parent().filter(|above| above.join("state/lifecycle").is_dir());
            return Ok(above
                .filter(|above| !is_same(above, root))
                .map_or(Owner::Nobody, |above| Owner::Other(above.into())));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Owner::Nobody),
        Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(Owner::NoLink),
        Err(error) => return Err(error),
    };
    if is_same(&owner, root) {
        return Ok(Owner::Ours);
    }
    match fs::metadata(&owner) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Owner::Nobody),
        _ => Ok(Owner::Other(owner)),
    }
}

/// Writes into `sockets` that it belongs to `root`, where it belongs to nobody. A folder that can't be written to stays
/// nobody's: it takes no socket either, and messages are accepted all the same.
///
/// # Errors
/// 78 where the folder belongs to another root, 74 or 77 where the link can't be read.
pub(crate) fn claim(sockets: &Path, root: &Path) -> Result<(), Failure> {
    let link = sockets.join(LINK);
    // Another program of this root, or of another one, may be making the link at the same moment.
    while check(sockets, root)? == Owner::Nobody {
        let removed = fs::remove_file(&link);
        if removed.is_err_and(|error| error.kind() != ErrorKind::NotFound)
            || symlink(root, &link).is_err_and(|error| error.kind() != ErrorKind::AlreadyExists)
        {
            return Ok(());
        }
    }
    Ok(())
}

/// Whose `sockets` is: that of `root`, or nobody's.
///
/// # Errors
/// 78 where the folder belongs to another root, 74 or 77 where the link can't be read.
pub(crate) fn check(sockets: &Path, root: &Path) -> Result<Owner, Failure> {
    let link = sockets.join(LINK);
    let owner = of(sockets, root).map_err(|error| Failure::io("read", &link, &error))?;
    let why = match &owner {
        Owner::Ours | Owner::Nobody => return Ok(owner),
        Owner::Other(other) => format!(
            "{} holds the sockets of the root {}, not those of {}: {ELSEWHERE}",
            sockets.display(),
            other.display(),
            root.display()
        ),
        Owner::NoLink => format!("{} is not the link to the root that it should be: move it away", link.display()),
    };
    Err(Failure::new(Exit::Config, why))
}

/// What to do about a folder that belongs to another root.
pub(crate) const ELSEWHERE: &str = "set IAPEER_SOCK_DIR to another folder, or IAPEER_ROOT to that root";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_root_until_that_root_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let [socks, one, two, alias] = ["socks", "one", "two", "alias"].map(|name| dir.path().join(name));
        for folder in [&socks, &one, &two] {
            fs::create_dir(folder).unwrap();
        }
        symlink(&one, &alias).unwrap();
        check(&socks, &two).unwrap();
        claim(&socks, &one).unwrap();
        for same in [&one, &alias] {
            claim(&socks, same).unwrap();
            check(&socks, same).unwrap();
        }
        for refused in [claim(&socks, &two).unwrap_err(), check(&socks, &two).unwrap_err()] {
            assert!(refused.exit == Exit::Config && refused.message.contains("IAPEER_SOCK_DIR"), "{refused}");
        }
        assert_eq!(fs::read_link(socks.join(LINK)).unwrap(), one);
        fs::remove_dir(&one).unwrap();
        check(&socks, &two).unwrap();
        claim(&socks, &two).unwrap();
        assert_eq!(fs::read_link(socks.join(LINK)).unwrap(), two);
        fs::remove_file(socks.join(LINK)).unwrap();
        fs::write(socks.join(LINK), "").unwrap();
        assert!(claim(&socks, &two).unwrap_err().message.contains("move it away"));
        // The folder of another root's own, without a link.
        let own = dir.path().join("three/socks");
        for folder in [&own, &dir.path().join("three/state/lifecycle")] {
            fs::create_dir_all(folder).unwrap();
        }
        assert!(claim(&own, &two).unwrap_err().message.contains("three"));
        claim(&own, &dir.path().join("three")).unwrap();
    }
}
