//! Homes that reach each other by a real sshd on a loopback port, or over a cable, with keys and folders of their own.

use super::mail::outbox;
use super::netns::Cable;
use super::{Running, TestHome, bin, wait_until};
use serde_json::json;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A home with an sshd, into which other homes' keys are let.
pub struct SshHome {
    /// The home.
    pub home: TestHome,
    /// What it is called.
    pub name: &'static str,
    address: &'static str,
    port: u16,
    sshd: Option<Running>,
}

/// The sshd of this machine. `None`: there is none; `tools/ensure` installs it.
pub fn sshd() -> Option<PathBuf> {
    ["/usr/sbin/sshd", "/usr/bin/sshd"].iter().map(PathBuf::from).find(|path| path.exists())
}

/// A loopback port that nobody listens on, of those that the system gives to nobody who asks for any port: before a server
/// is started, and while it is started again, another program could get one of these. Each process of a test has ports of
/// its own.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = std::process::id().wrapping_mul(16).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (n % 22_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Gives a home an ssh that runs its command on this machine.
pub fn that_runs_here(home: &TestHome) {
    let dir = home.dir().join("ssh-here");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("ssh"), "#!/bin/sh\nfor last; do :; done\nexec /bin/sh -c \"$last\"\n").unwrap();
    fs::set_permissions(dir.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = home.cmd("env").get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_owned();
    home.set("PATH", format!("{}:{}", dir.display(), path.to_str().unwrap()));
}

impl SshHome {
    /// A home called `name`, with the person `me`.
    pub fn new(name: &'static str) -> SshHome {
        SshHome::at(name, "127.0.0.1", TestHome::new())
    }

    /// `home`, which is reached at `address`, called `name`.
    fn at(name: &'static str, address: &'static str, home: TestHome) -> SshHome {
        home.set("IAPEER_SERVICE_MANAGER", "none");
        home.ok("iapeer", &["create", "me", "--runtime", "person"]);
        fs::write(home.root().join("hostname"), format!("{name}\n")).unwrap();
        let dir = home.dir().join("ssh");
        fs::create_dir(&dir).unwrap();
        for key in ["host", "user"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(key)).status();
            assert!(made.unwrap().success());
        }
        let mut this = SshHome { home, name, address, port: free_port(), sshd: None };
        this.script("relay", &format!("exec {} \"$@\"", bin("iapeer-relay").display()));
        this.authorize(&[]);
        this.start();
        this
    }

    fn dir(&self) -> PathBuf {
        self.home.dir().join("ssh")
    }

    /// A program that runs `script` in this home's environment.
    pub fn script(&self, name: &str, script: &str) -> PathBuf {
        let path = self.dir().join(name);
        let mut text = "#!/bin/sh\nexec env -i".to_owned();
        for (name, value) in self.home.cmd("env").get_envs() {
            text += &format!(" '{}={}'", name.to_string_lossy(), value.unwrap().to_string_lossy());
        }
        fs::write(&path, format!("{text} /bin/sh -c '{script}' sh \"$@\"\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Lets the keys of these homes in, each with what stands before it in `authorized_keys`.
    pub fn authorize(&self, keys: &[(&SshHome, &str)]) {
        let line = |(of, options): &(&SshHome, &str)| {
            format!("{options} {}", fs::read_to_string(of.dir().join("user.pub")).unwrap())
        };
        fs::write(self.dir().join("authorized_keys"), keys.iter().map(line).collect::<String>()).unwrap();
    }

    /// Starts its sshd.
    pub fn start(&mut self) {
        if nix::unistd::geteuid().is_root() {
            // Debian's sshd wants this empty folder, and has no setting for it.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let dir = self.dir();
        let config = format!(
            "ListenAddress {}:{}\nHostKey {dir}/host\nAuthorizedKeysFile {dir}/authorized_keys\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             MaxStartups 1000\nPermitUserRC no\nSetEnv HOME={home}\nPerSourcePenalties no\n",
            self.address,
            self.port,
            dir = dir.display(),
            // The user's shell would read what it is told to at its start in the real one.
            home = self.home.home().display()
        );
        // Older ones have no penalties for callers.
        let config = match Command::new(sshd().unwrap()).args(["-T", "-o", "PerSourcePenalties=no"]).output() {
            Ok(said) if said.status.success() => config,
            _ => config.replace("PerSourcePenalties no\n", ""),
        };
        fs::write(dir.join("sshd_config"), config).unwrap();
        let mut command = self.home.cmd(sshd().unwrap().to_str().unwrap());
        command.args(["-D", "-e", "-f"]).arg(dir.join("sshd_config"));
        let sshd = self.home.start(command, None);
        wait_until("sshd", Duration::from_secs(20), || sshd.stderr().contains("Server listening on"));
        self.sshd = Some(sshd);
    }

    /// How many have logged in since its sshd was started.
    pub fn logins(&self) -> usize {
        let said = self.sshd.as_ref().map(Running::stderr).unwrap_or_default();
        said.lines().filter(|line| line.starts_with("Accepted publickey for ")).count()
    }

    /// Kills its sshd, and with it every connection.
    pub fn kill_sshd(&mut self) {
        if let Some(sshd) = self.sshd.take() {
            children(sshd.pid()).into_iter().for_each(kill);
            drop(sshd);
        }
    }

    /// Makes `other` known here, by ssh, with `more` in its file.
    pub fn knows(&self, other: &SshHome, more: serde_json::Value) {
        let (mine, theirs) = (self.dir(), other.dir());
        let config = mine.join(format!("config-{}", other.name));
        let hosts = mine.join(format!("known-{}", other.name));
        let key = fs::read_to_string(theirs.join("host.pub")).unwrap();
        fs::write(&hosts, format!("[{}]:{} {key}", other.address, other.port)).unwrap();
        let text = format!(
            "Host *\n  IdentityFile {mine}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {hosts}\n  GlobalKnownHostsFile /dev/null\n  Port {}\n",
            other.port,
            mine = mine.display(),
            hosts = hosts.display()
        );
        fs::write(&config, text).unwrap();
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        let mut file = json!({
            "transport": "ssh",
            "destination": format!("{}@{}", user.trim(), other.address),
            "options": ["-F", config],
            "root": other.home.root(),
            "program": theirs.join("relay"),
        });
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.write_host(other.name, &file);
    }

    /// Runs `words` on `other` by nothing but ssh, as the file that [`SshHome::knows`] wrote says.
    pub fn ssh(&self, other: &SshHome, words: &[&str]) {
        let config = self.dir().join(format!("config-{}", other.name));
        let ran = self
            .home
            .cmd("ssh")
            .args(["-T", "-o", "BatchMode=yes", "-F"])
            .arg(config)
            .arg(other.address)
            .args(words)
            .output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }

    /// Writes the file of a host.
    pub fn write_host(&self, name: &str, file: &serde_json::Value) {
        let dir = self.home.root().join("hosts");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("{name}.json")), file.to_string()).unwrap();
    }

    /// The pids of its sshd's connections.
    pub fn connections(&self) -> Vec<i32> {
        self.sshd.as_ref().map(|sshd| children(sshd.pid())).unwrap_or_default()
    }

    /// Whether an item waits, is in flight, or is dead in its outbox for `other`.
    pub fn outbox(&self, other: &str) -> (usize, usize, usize) {
        outbox(&self.home, other)
    }
}

/// Two homes that call each other, `laptop` and `box`.
pub fn two() -> (SshHome, SshHome) {
    acquainted(SshHome::new("laptop"), SshHome::new("box"))
}

/// The same, each at its end of `cable`.
pub fn apart(cable: &Cable) -> (SshHome, SshHome) {
    let [one, other] = cable.namespaces();
    let [near, far] = Cable::ADDRESSES;
    let at = |name, address, pid| {
        let home = TestHome::new();
        home.move_to(pid);
        SshHome::at(name, address, home)
    };
    acquainted(at("laptop", near, one), at("box", far, other))
}

fn acquainted(laptop: SshHome, there: SshHome) -> (SshHome, SshHome) {
    laptop.knows(&there, json!({}));
    there.knows(&laptop, json!({}));
    laptop.authorize(&[(&there, "")]);
    there.authorize(&[(&laptop, "")]);
    (laptop, there)
}

/// The processes that `pid` has started, and those that these have.
pub fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?))
        })
        .collect();
    let mut next = vec![pid];
    while let Some(parent) = next.pop() {
        for (child, _) in parents.iter().filter(|(_, of)| *of == parent) {
            found.push(*child);
            next.push(*child);
        }
    }
    found
}

/// Kills `pid` (SIGKILL).
pub fn kill(pid: i32) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
}
