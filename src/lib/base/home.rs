//! The home folder of the user that this program runs as, from the user database.

use std::path::PathBuf;

/// The user's home by `/etc/passwd`. getpwuid is not used, since even in a statically linked program it needs the
/// machine's own C library.
pub(crate) fn of_user() -> Option<PathBuf> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    find(&users, nix::unistd::geteuid().as_raw())
}

/// The sixth field of the line whose third is `uid` (passwd(5)).
fn find(users: &str, uid: u32) -> Option<PathBuf> {
    let home = users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(uid)).then(|| fields.get(5).copied())?
    })?;
    home.starts_with('/').then(|| PathBuf::from(home))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_that_of_the_uid_and_an_absolute_path() {
        let users = "root:x:0:0:root:/root:/bin/sh\ntorn:x\nann:x:7:7::/home/ann:/bin/sh\nbob:x:8:8:::/bin/sh\n";
        assert_eq!(find(users, 7), Some("/home/ann".into()));
        assert_eq!((find(users, 8), find(users, 9)), (None, None));
    }
}
