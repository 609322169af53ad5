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

/// Puts a private file with `content` at `path`, in one step.
pub fn put(path: &Path, content: impl AsRef<[u8]>) {
    put_so(path, content, |_| true);
}

/// [`put`], with a `change` of the file before that. `false`: the change can't be made, and nothing was put there.
pub fn put_so(path: &Path, content: impl AsRef<[u8]>, change: impl FnOnce(&Path) -> bool) -> bool {
    // Our programs take such a name for that of an unfinished file.
    let file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(path.parent().unwrap()).unwrap();
    std::fs::write(&file, content).unwrap();
    if !change(file.path()) {
        return false;
    }
    clear(path);
    file.persist(path).unwrap();
    true
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
        "huge" => private_file(path)?.set_len(300 << 20),
        other => panic!("{other}"),
    });
}

fn private_file(path: &Path) -> Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
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
