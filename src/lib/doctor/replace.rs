//! Commands for people that put a working program in the place of a missing or broken one.

use crate::base::shell;
use crate::host::{about, command};
use crate::session::launch;
use crate::world::World;
use crate::world::peer::Peer;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a program may take to print its version.
const PATIENCE: Duration = Duration::from_secs(5);

/// The command that makes `named` lead to `found`. What stands there is kept aside.
pub(crate) fn put_there(named: &Path, found: &Path) -> String {
    let [at, of, aside] =
        [named.to_owned(), found.to_owned(), with_ending(named, "broken")].map(|path| shell::path(&path));
    let folder = named.parent().filter(|folder| !folder.is_dir());
    let first = match folder {
        Some(folder) => format!("mkdir -p {} && ", shell::path(folder)),
        None if named.symlink_metadata().is_ok() => format!("mv {at} {aside} && "),
        None => String::new(),
    };
    format!("`{first}ln -s {of} {at}`")
}

/// `path` with a dot and `ending` behind its name.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// What to do if the program of `peer` is missing or broken: use another one, which is found without the variable that
/// names the program, else install it.
pub(crate) fn agent(world: &World<'_>, peer: &Peer) -> String {
    let program = &peer.manifest.program;
    let variable = &program.variable;
    let mut env = launch::allowed(launch::environment());
    let named = env.remove(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let other = launch::find_program(world.paths, peer, &env).ok();
    match named.zip(other).filter(|(named, other)| named != other) {
        Some((named, other)) => {
            let put = put_there(&named, &other);
            format!("{put} has {variable} lead to the one that is there, or unset {variable}")
        }
        None => format!("install it ({}), or set {variable} to its path", program.hint),
    }
}

/// Why the program of `peer` does not even print its version. `None`: it does, or no program is found.
pub(crate) fn does_not_run(world: &World<'_>, peer: &Peer) -> Option<String> {
    let program = launch::find_program(world.paths, peer, &launch::allowed(launch::environment())).ok()?;
    match command::run(program.to_str()?, &["--version".into()], &[], PATIENCE) {
        Ok(ran) if ran.success => None,
        Ok(ran) => {
            let said = if ran.stderr.is_empty() { String::new() } else { format!(" ({})", ran.stderr) };
            Some(format!("`{} --version` fails{said}", shell::path(&program)))
        }
        Err(error) => Some(error.to_string()),
    }
}

/// How to install `package` of the operating system.
pub(crate) fn install(package: &str) -> String {
    match about::install_command(package) {
        Some(command) => format!("`{command}` installs it"),
        None => format!("install {package}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_is_put_in_its_place_and_what_was_there_kept() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let path = dir.path().display();
        assert_eq!(put_there(&at("a"), Path::new("/bin/b")), format!("`ln -s /bin/b {path}/a`"));
        assert_eq!(
            put_there(&at("x/a"), Path::new("/bin/b")),
            format!("`mkdir -p {path}/x && ln -s /bin/b {path}/x/a`")
        );
        std::fs::write(at("a b"), "").unwrap();
        let put = put_there(&at("a b"), Path::new("/bin/b"));
        assert_eq!(put, format!("`mv '{path}/a b' '{path}/a b.broken' && ln -s /bin/b '{path}/a b'`"));
    }
}
