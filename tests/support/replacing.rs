//! Puts something else in the place of a file that live programs may write anew at any time.

use std::io::{ErrorKind, Result};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Removes what is at `path`, a folder with everything in it. Nothing there is fine.
pub fn clear(path: &Path) {
    if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        std::fs::remove_dir_all(path).unwrap();
    } else {
        let _ = std::fs::remove_file(path);
    }
}

/// Puts `what` at `path`: a `fifo`, a `folder`, a link to `/dev/zero` (`zero`), to itself (`loop`) or to nothing
/// (`nothing`), or 300 MB of zeros (`huge`).
pub fn place(what: &str, path: &Path) {
    in_its_place(path, || match what {
        "fifo" => Ok(nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU)?),
        "folder" => std::fs::create_dir(path),
        "zero" => symlink("/dev/zero", path),
        "loop" => symlink(path, path),
        "nothing" => symlink("/nonexistent/file", path),
        "huge" => std::fs::File::create_new(path)?.set_len(300 << 20),
        other => panic!("{other}"),
    });
}

/// Removes what is at `path` and makes something else of that name, again until no live program has written the file
/// anew in between.
pub fn in_its_place(path: &Path, make: impl Fn() -> Result<()>) {
    loop {
        clear(path);
        match make() {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.unwrap(),
        }
    }
}
