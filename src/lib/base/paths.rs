//! The layout of the root. Paths under the root are built here and in the `*_paths` modules beside this one.

use crate::base::exit::{Exit, Failure};
use crate::base::home;
use crate::base::identity::{Identity, Personality, Runtime};
use crate::base::private::PrivateDir;
use crate::base::socket_owner;
use crate::base::state_file::StateFile;
use crate::base::step::{self, Point};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// Longest socket path in bytes, without the terminating NUL: `sockaddr_un.sun_path` is 104 bytes on macOS, 108 on Linux.
pub const SOCKET_PATH_MAX: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// The root folder and the paths below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
    home: PathBuf,
    socket_dir: PathBuf,
    /// `IAPEER_TEST_SANDBOX=1`: this is a test run, which must not touch the user's own root.
    sandbox: bool,
}

impl Paths {
    /// From `IAPEER_ROOT` (default `$HOME/.iapeer`), `IAPEER_SOCK_DIR` (default `<root>/socks`), `HOME` and
    /// `IAPEER_TEST_SANDBOX`.
    pub(crate) fn from_env() -> Result<Paths, Failure> {
        Paths::read(|name| std::env::var_os(name).map(PathBuf::from))
    }

    /// The paths of a throw-away root; the variables that name the root and the socket folder are ignored.
    pub(crate) fn throw_away(root: &Path) -> Result<Paths, Failure> {
        Paths::read(|name| match name {
            "IAPEER_ROOT" => Some(root.to_owned()),
            "IAPEER_SOCK_DIR" => None,
            other => std::env::var_os(other).map(PathBuf::from),
        })
    }

    /// `Paths::from_env` with `get` in place of the environment. Fails (78) where a path is not absolute, or where
    /// neither `IAPEER_ROOT` nor `HOME` is set.
    pub fn read(get: impl Fn(&str) -> Option<PathBuf>) -> Result<Paths, Failure> {
        let absolute = |name: &str| match get(name).and_then(trimmed) {
            Some(path) if path.is_absolute() => Ok(Some(path)),
            Some(path) => Err(Failure::new(
                Exit::Config,
                format!("{name}={} is not an absolute path: write it in full", path.display()),
            )),
            None => Ok(None),
        };
        let home = absolute("HOME")?;
        let root = match absolute("IAPEER_ROOT")? {
            Some(root) => root,
            None => home.as_ref().map(|home| home.join(".iapeer")).ok_or_else(|| {
                Failure::new(Exit::Config, "neither IAPEER_ROOT nor HOME is set: set one to an absolute path")
            })?,
        };
        let socket_dir = absolute("IAPEER_SOCK_DIR")?.unwrap_or_else(|| root.join("socks"));
        let sandbox = get("IAPEER_TEST_SANDBOX").is_some_and(|value| value == Path::new("1"));
        Ok(Paths { home: home.or_else(home::of_user).unwrap_or_else(|| PathBuf::from("/")), root, socket_dir, sandbox })
    }

    /// Creates the root, the state, log and socket folders (0700) where they are missing, and refuses (77) a
    /// root or socket folder that belongs to someone else or is open to others, and (78) the socket folder of another root.
    pub fn ensure(&self) -> Result<(), Failure> {
        self.refuse_the_real_one()?;
        create_dirs(&self.root)?;
        let [root, sockets] = self.private_dirs();
        root.check()?;
        create_dirs(&self.state_dir())?;
        create_dirs(&self.event_log_dir())?;
        create_dirs(&self.socket_dir)?;
        sockets.check()?;
        if self.has_own_socket_dir() { socket_owner::claim(&self.socket_dir, &self.root) } else { Ok(()) }
    }

    /// What [`ensure`](Paths::ensure) refuses, for a program that only reads. Creates nothing; a missing root counts as empty.
    pub fn check(&self) -> Result<(), Failure> {
        self.private_dirs().into_iter().filter(|dir| dir.path.exists()).try_for_each(|dir| dir.check())?;
        if self.has_own_socket_dir() { socket_owner::check(&self.socket_dir, &self.root).map(drop) } else { Ok(()) }
    }

    /// The root and the socket folder.
    pub(crate) fn private_dirs(&self) -> [PrivateDir<'_>; 2] {
        [("IAPEER_ROOT", &self.root), ("IAPEER_SOCK_DIR", &self.socket_dir)]
            .map(|(variable, path)| PrivateDir { path, variable })
    }

    /// Under `IAPEER_TEST_SANDBOX=1` refuses (77) a root or socket folder that is the user's own `~/.iapeer`, also by way
    /// of links.
    pub(crate) fn refuse_the_real_one(&self) -> Result<(), Failure> {
        if !self.sandbox {
            return Ok(());
        }
        let own = real(&self.home.join(".iapeer"));
        match [&self.root, &self.socket_dir].into_iter().find(|dir| real(dir).starts_with(&own)) {
            None => Ok(()),
            Some(dir) => Err(Failure::new(
                Exit::NoPerm,
                format!(
                    "refusing to write the REAL registry and state: {} is in {} (IAPEER_TEST_SANDBOX=1): set IAPEER_ROOT to another folder",
                    dir.display(),
                    own.display()
                ),
            )),
        }
    }

    /// `<root>`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The user's home, where the agents' own files are.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The folder of the tmux sockets.
    pub(crate) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Whether `IAPEER_SOCK_DIR` names another socket folder than the root's own.
    pub(crate) fn has_own_socket_dir(&self) -> bool {
        self.socket_dir != self.root.join("socks")
    }

    /// The tmux socket of a session.
    pub fn socket(&self, identity: &Identity) -> PathBuf {
        self.socket_dir.join(format!("tmux-iap-{identity}.sock"))
    }

    /// Refuses (78) an identity whose socket path would not fit `sockaddr_un`.
    pub(crate) fn check_socket(&self, identity: &Identity) -> Result<(), Failure> {
        let socket = self.socket(identity);
        let len = socket.as_os_str().len();
        if len <= SOCKET_PATH_MAX {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Config,
            format!(
                "the socket path {} has {len} bytes, over the {SOCKET_PATH_MAX} a socket address holds: set IAPEER_SOCK_DIR to a shorter folder or choose a shorter name",
                socket.display()
            ),
        ))
    }

    /// `<root>/state`.
    pub(crate) fn state_root(&self) -> PathBuf {
        self.root.join("state")
    }

    /// `<root>/state/lifecycle`.
    pub fn state_dir(&self) -> PathBuf {
        self.root.join("state/lifecycle")
    }

    /// `<root>/state/lifecycle/<identity>.<suffix>`.
    pub fn state(&self, identity: &Identity, file: StateFile) -> PathBuf {
        self.state_dir().join(format!("{identity}.{file}"))
    }

    /// `<root>/state/due`: a mark for each identity that a tick has to examine.
    pub(crate) fn due_dir(&self) -> PathBuf {
        self.root.join("state/due")
    }

    /// The file that is touched on every accept, for a path unit to watch.
    pub fn kick(&self) -> PathBuf {
        self.state_dir().join("kick")
    }

    /// The file that names the peer who is told what waits for a person.
    pub fn owner(&self) -> PathBuf {
        self.root.join("owner")
    }

    /// The program that is run when the owner is told.
    pub fn notify(&self) -> PathBuf {
        self.root.join("notify")
    }

    /// `<root>/history/<identity>.jsonl`: what became of each message to a peer.
    pub fn history(&self, identity: &Identity) -> PathBuf {
        self.history_dir().join(format!("{identity}.jsonl"))
    }

    /// `<root>/history`.
    pub(crate) fn history_dir(&self) -> PathBuf {
        self.root.join("history")
    }

    /// The readings of the wall clock and of the uptime at the last tick.
    pub fn clocks(&self) -> PathBuf {
        self.root.join("state/clock")
    }

    /// Notices that could not be given to their peers yet.
    pub(crate) fn notices_dir(&self) -> PathBuf {
        self.root.join("state/notices")
    }

    /// The intents of the verbs that move several things: what such a verb is about to do.
    pub(crate) fn intents_dir(&self) -> PathBuf {
        self.root.join("state/intents")
    }

    /// The lock of the verbs that move several things.
    pub(crate) fn intents_lock(&self) -> PathBuf {
        self.root.join("state/intents.lock")
    }

    /// The lock of a tick.
    pub fn superviser_lock(&self) -> PathBuf {
        self.root.join("state/superviser.lock")
    }

    /// `<root>/logs/iapeer`: the event logs.
    pub(crate) fn event_log_dir(&self) -> PathBuf {
        self.root.join("logs/iapeer")
    }

    /// `<root>/logs/iapeer/<name>`.
    pub(crate) fn event_log(&self, name: &str) -> PathBuf {
        self.event_log_dir().join(name)
    }

    /// `<root>/logs/lifecycle`: the pane logs.
    pub(crate) fn pane_log_dir(&self) -> PathBuf {
        self.root.join("logs/lifecycle")
    }

    /// The raw pane stream of a session.
    pub fn pane_log(&self, identity: &Identity) -> PathBuf {
        self.pane_log_dir().join(format!("{identity}.log"))
    }

    /// The folder of the forensics files.
    pub(crate) fn server_deaths_dir(&self) -> PathBuf {
        self.root.join("logs/iapeer/server-deaths")
    }

    /// The assembled system prompt of a session.
    pub fn prompt(&self, identity: &Identity) -> PathBuf {
        self.root.join(format!("cache/iapeer/prompts/{identity}.md"))
    }

    /// The folder of the files that the runtime's manifest has iapeer write for each launch.
    pub(crate) fn launch_files(&self, identity: &Identity) -> PathBuf {
        self.root.join(format!("cache/iapeer/launch/{identity}"))
    }

    /// A user's own manifest of a runtime.
    pub fn manifest(&self, runtime: &Runtime) -> PathBuf {
        self.root.join(format!("runtimes/{runtime}/runtime.json"))
    }

    /// Default working folder of a peer.
    pub(crate) fn peer_dir(&self, personality: &Personality) -> PathBuf {
        self.root.join(format!("peers/{personality}"))
    }
}

/// A peer's own profile: `<cwd>/.iapeer/peer-profile.json`.
pub fn profile_path(cwd: &Path) -> PathBuf {
    cwd.join(".iapeer/peer-profile.json")
}

/// A peer's launch environment: `<cwd>/.iapeer/runtimes/<rt>/launch.env`.
pub(crate) fn launch_env_path(cwd: &Path, runtime: &Runtime) -> PathBuf {
    cwd.join(format!(".iapeer/runtimes/{runtime}/launch.env"))
}

/// The path in a variable, without the white space around it. A blank variable counts as unset.
fn trimmed(given: PathBuf) -> Option<PathBuf> {
    match given.to_str().map(str::trim) {
        Some("") => None,
        Some(text) => Some(PathBuf::from(text)),
        None => Some(given),
    }
}

/// `path` with links and `..` resolved, as far as it exists.
pub fn real(path: &Path) -> PathBuf {
    let mut real = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            part => real.push(part),
        }
        real = fs::canonicalize(&real).unwrap_or(real);
    }
    real
}

/// Creates `dir` and its missing parents, with mode 0700. A new folder survives a power cut: its parent is fsynced.
pub(crate) fn create_dirs(dir: &Path) -> Result<(), Failure> {
    // The folder nearly always exists, and a stat is cheaper than a failing mkdir.
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        create_dirs(above)?;
    }
    match step::mkdir(Point::MkdirMake, dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {}
        made => made.map_err(|error| Failure::create(dir, &error))?,
    }
    let above = above.unwrap_or(Path::new("."));
    step::sync_dir(Point::MkdirSyncParent, above).map_err(|error| Failure::io("sync", above, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn paths(root: &Path) -> Paths {
        let root = root.to_owned();
        Paths::read(move |name| (name == "IAPEER_ROOT").then(|| root.clone())).unwrap()
    }

    #[test]
    fn sockets_live_below_the_root_and_no_login_variable_moves_them() {
        let p = Paths::read(|name| match name {
            "HOME" => Some("/home/u".into()),
            "XDG_RUNTIME_DIR" => Some("/run/user/1".into()),
            _ => None,
        })
        .unwrap();
        assert_eq!(
            p.socket(&"claude-bob".parse().unwrap()),
            Path::new("/home/u/.iapeer/socks/tmux-iap-claude-bob.sock")
        );
    }

    #[test]
    fn a_relative_root_is_78_by_name() {
        let failure = Paths::read(|name| (name == "IAPEER_ROOT").then(|| "x".into())).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        assert!(failure.message.contains("IAPEER_ROOT"));
    }

    #[test]
    fn a_root_is_trimmed_and_a_blank_one_is_none() {
        for (given, root) in [("", "/home/u/.iapeer"), (" \t", "/home/u/.iapeer"), (" /x y ", "/x y"), ("/x\n", "/x")] {
            let p = Paths::read(|name| match name {
                "HOME" => Some("/home/u".into()),
                "IAPEER_ROOT" => Some(given.into()),
                "IAPEER_SOCK_DIR" => Some(" ".into()),
                _ => None,
            })
            .unwrap();
            assert_eq!(
                (p.root(), p.socket_dir()),
                (Path::new(root), Path::new(root).join("socks").as_path()),
                "{given:?}"
            );
        }
    }

    #[test]
    fn a_test_run_never_touches_the_users_own_root_by_whatever_name() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let link = dir.path().join("link");
        let to_home = dir.path().join("to-home");
        std::os::unix::fs::symlink(home.join(".iapeer"), &link).unwrap();
        std::os::unix::fs::symlink(&home, &to_home).unwrap();
        let ensure = |root: &Path, sock: Option<&Path>, sandbox: &str| {
            let p = Paths::read(|name| match name {
                "HOME" => Some(home.clone()),
                "IAPEER_ROOT" => Some(root.to_owned()),
                "IAPEER_SOCK_DIR" => sock.map(Path::to_owned),
                "IAPEER_TEST_SANDBOX" => Some(sandbox.into()),
                _ => None,
            });
            p.unwrap().ensure()
        };
        let other = dir.path().join("other");
        // First while the user's root does not exist: a refusal must not create it.
        for made in [false, true] {
            if made {
                fs::create_dir_all(home.join(".iapeer")).unwrap();
            } else {
                fs::create_dir(&home).unwrap();
            }
            for root in [
                home.join(".iapeer"),
                home.join(".iapeer/below"),
                home.join("../home/.iapeer"),
                to_home.join(".iapeer"),
                home.join("missing/../.iapeer"),
            ] {
                let refused = ensure(&root, None, "1").unwrap_err();
                assert!(refused.exit == Exit::NoPerm && refused.message.contains("REAL registry"), "{refused}");
            }
            assert!(ensure(&other, Some(&home.join(".iapeer/socks")), "1").is_err());
            assert_eq!(home.join(".iapeer").exists(), made);
            assert_eq!(fs::read_dir(&home).unwrap().count(), usize::from(made));
        }
        assert!(ensure(&link, None, "1").is_err());
        ensure(&other, None, "1").unwrap();
        fs::set_permissions(home.join(".iapeer"), fs::Permissions::from_mode(0o700)).unwrap();
        ensure(&link, None, "0").unwrap();
    }

    #[test]
    fn a_root_open_to_others_is_77_and_ensure_makes_it_private() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().join("r");
        let p = paths(&root);
        p.ensure().unwrap();
        assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&root, fs::Permissions::from_mode(0o770)).unwrap();
        assert_eq!(p.ensure().unwrap_err().exit, Exit::NoPerm);
        assert_eq!(p.check().unwrap_err().exit, Exit::NoPerm);
    }

    #[test]
    fn a_socket_path_over_the_limit_is_78() {
        let p = paths(&PathBuf::from(format!("/{}", "x".repeat(90))));
        assert_eq!(p.check_socket(&"claude-bob".parse().unwrap()).unwrap_err().exit, Exit::Config);
    }
}
