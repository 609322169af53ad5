//! Real nats-servers with JetStream on loopback ports.

use super::ssh::free_port;
use super::{Running, TestHome, wait_until};
use serde_json::json;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// Debian's is where no PATH of a test leads.
fn program() -> PathBuf {
    let places = ["/usr/sbin/nats-server", "/usr/local/bin/nats-server", "/opt/homebrew/bin/nats-server"];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.expect("there is no nats-server: tools/ensure nats-server installs it")
}

/// A server, or one of a cluster. Its files are in a folder of the home given.
pub struct NatsServer {
    dir: PathBuf,
    name: String,
    port: u16,
    running: Option<Running>,
}

impl NatsServer {
    /// One server with these further lines of configuration.
    pub fn start(home: &TestHome, more: &str) -> NatsServer {
        let mut server = NatsServer::prepared(home, "n1", free_port(), more);
        server.go(home);
        server
    }

    /// A cluster of three.
    pub fn cluster(home: &TestHome) -> Vec<NatsServer> {
        let routes: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let all: Vec<String> = routes.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
        let mut servers: Vec<NatsServer> = routes
            .iter()
            .enumerate()
            .map(|(n, route)| {
                let more =
                    format!("cluster {{ name: c, listen: \"127.0.0.1:{route}\", routes: [{}] }}\n", all.join(", "));
                NatsServer::prepared(home, &format!("n{}", n + 1), free_port(), &more)
            })
            .collect();
        servers.iter_mut().for_each(|server| server.go(home));
        servers
    }

    fn prepared(home: &TestHome, name: &str, port: u16, more: &str) -> NatsServer {
        let dir = home.dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "server_name: {name}\nlisten: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\" }}\n{more}",
            dir.display()
        );
        fs::write(dir.join("nats.conf"), text).unwrap();
        NatsServer { dir, name: name.to_owned(), port, running: None }
    }

    /// Starts it, again where it was killed.
    pub fn go(&mut self, home: &TestHome) {
        let mut command = home.cmd(program().to_str().unwrap());
        command.arg("-c").arg(self.dir.join("nats.conf"));
        self.running = Some(home.start(command, None));
        wait_until("nats-server", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Has it read its configuration, changed by `change`, again.
    pub fn reconfigure(&self, change: impl Fn(String) -> String) {
        let path = self.dir.join("nats.conf");
        fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
        if let Some(running) = &self.running {
            running.signal(nix::sys::signal::Signal::SIGHUP);
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

/// A home called `name` with the person `me`, which meets others at `url`; `more` is put into its nats.json.
pub fn member(name: &str, others: &[&str], url: &str, more: serde_json::Value) -> TestHome {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    fs::write(home.root().join("hostname"), format!("{name}\n")).unwrap();
    let mut file = json!({ "url": url });
    file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    write_private(&home.root().join("nats.json"), &file.to_string());
    for other in others {
        home.ok("iapeer", &["host", "add", other, "--nats"]);
    }
    home
}

/// Writes a file that others can't read.
pub fn write_private(path: &std::path::Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Its relay, connected.
pub fn relay(home: &TestHome) -> Running {
    let relay = home.spawn("iapeer-relay", &["run"]);
    wait_until("the relay to be connected", Duration::from_secs(30), || relay.stdout().contains("connected to"));
    relay
}
