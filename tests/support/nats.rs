//! Real nats-servers with JetStream on loopback ports.

use super::ssh::free_port;
use super::{PATIENCE, Running, TestHome, soon, wait_for, wait_until};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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
    address: &'static str,
    port: u16,
    running: Option<Running>,
}

impl NatsServer {
    /// One server with these further lines of configuration.
    pub fn start(home: &TestHome, more: &str) -> NatsServer {
        NatsServer::start_at(home, "127.0.0.1", more)
    }

    /// The same at another address.
    pub fn start_at(home: &TestHome, address: &'static str, more: &str) -> NatsServer {
        let mut server = NatsServer::prepared(home, "n1", address, more);
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
                NatsServer::prepared(home, &format!("n{}", n + 1), "127.0.0.1", &more)
            })
            .collect();
        servers.iter_mut().for_each(|server| server.go(home));
        servers
    }

    fn prepared(home: &TestHome, name: &str, address: &'static str, more: &str) -> NatsServer {
        let port = free_port();
        let dir = home.dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "server_name: {name}\nlisten: \"{address}:{port}\"\njetstream {{ store_dir: \"{}\", max_file_store: 8GB }}\n{more}",
            dir.display()
        );
        fs::write(dir.join("nats.conf"), text).unwrap();
        NatsServer { dir, name: name.to_owned(), address, port, running: None }
    }

    /// Starts it, again where it was killed.
    pub fn go(&mut self, home: &TestHome) {
        let mut command = home.cmd(program().to_str().unwrap());
        command.arg("-c").arg(self.dir.join("nats.conf"));
        let running = home.start(command, None);
        wait_until("nats-server", Duration::from_secs(20), || running.stderr().contains("Server is ready"));
        self.running = Some(running);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Kills it, and starts it with none of the streams that it had.
    pub fn lose_streams(&mut self, home: &TestHome) {
        self.kill();
        fs::remove_dir_all(self.dir.join("jetstream")).unwrap();
        self.go(home);
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
        format!("nats://{}:{}", self.address, self.port)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.running.as_ref().map(Running::stderr).unwrap_or_default()
    }
}

/// A certificate for 127.0.0.1 of an authority of its own, in a folder of the home: the authority's file, and the lines of
/// configuration for a server.
pub fn certificate(home: &TestHome) -> (PathBuf, String) {
    let dir = home.dir().join("tls");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -batch";
    for words in [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
        format!("req {key} -keyout server.key -out server.csr -subj /CN=server"),
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -days 2 -out server.pem"
            .to_owned(),
    ] {
        let made = home.cmd("openssl").args(words.split(' ')).current_dir(&dir).output().unwrap();
        assert!(made.status.success(), "openssl {words}: {made:?}");
    }
    let file = |name: &str| dir.join(name).display().to_string();
    let more = format!("tls {{ cert_file: \"{}\", key_file: \"{}\" }}\n", file("server.pem"), file("server.key"));
    (dir.join("ca.pem"), more)
}

/// Who may let users in by signed tokens (JWT), as `nsc` sets it up: an operator, and an account.
pub struct Issuer {
    since: u64,
    operator: KeyPair,
    system: KeyPair,
    account: KeyPair,
}

impl Issuer {
    /// A new one.
    pub fn new() -> Issuer {
        Issuer {
            since: now(),
            operator: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            account: KeyPair::new_account(),
        }
    }

    /// The lines of configuration for a server. `revoked`: the users' keys that are let in no more, each with the time up to
    /// which what was issued counts for nothing.
    pub fn configuration(&self, revoked: &Value) -> String {
        let operator =
            token(&self.operator, self.since, &self.operator.public_key(), json!({"type": "operator", "version": 2}));
        let limits = |stored: i64| {
            json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
                "leaf": -1, "mem_storage": stored, "disk_storage": stored, "streams": stored, "consumer": stored})
        };
        let account = json!({"type": "account", "version": 2, "limits": limits(-1), "revocations": revoked});
        let account = token(&self.operator, self.since, &self.account.public_key(), account);
        // The system's own account stores nothing: a server refuses one that may.
        let system = json!({"type": "account", "version": 2, "limits": limits(0)});
        let system = token(&self.operator, self.since, &self.system.public_key(), system);
        format!(
            "operator: {operator}\nsystem_account: {system_key}\nresolver: MEMORY\n\
             resolver_preload: {{\n  {key}: {account}\n  {system_key}: {system}\n}}\n",
            system_key = self.system.public_key(),
            key = self.account.public_key(),
        )
    }

    /// A credentials file for `user` with these permissions, as `nsc generate creds` writes it.
    pub fn credentials(&self, user: &KeyPair, permissions: Value) -> String {
        let mut claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        claims.as_object_mut().unwrap().extend(permissions.as_object().unwrap().clone());
        let jwt = token(&self.account, now(), &user.public_key(), claims);
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed().unwrap()
        )
    }
}

/// A token that says `nats` of `subject`, signed by `issuer` at that time.
fn token(issuer: &KeyPair, at: u64, subject: &str, nats: Value) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims =
        json!({"jti": subject, "iat": at, "iss": issuer.public_key(), "name": "test", "sub": subject, "nats": nats});
    let text = format!("{}.{}", part(json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(claims));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(issuer.sign(text.as_bytes()).unwrap()))
}

/// The time in seconds.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// A home called `name` with the person `me`, which meets others at `url`; `more` is put into its nats.json.
pub fn member(name: &str, others: &[&str], url: &str, more: serde_json::Value) -> TestHome {
    member_of(TestHome::new(), name, others, url, more)
}

/// The same of a home that is there.
pub fn member_of(home: TestHome, name: &str, others: &[&str], url: &str, more: serde_json::Value) -> TestHome {
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
    let is_connected = soon(Duration::from_secs(30), || relay.stdout().contains("connected to"));
    assert!(is_connected, "the relay does not connect: {}", relay.stdout());
    relay
}

/// Has the consumer of the host `to` pass over the `count` messages for that host, as one was seen to do after its leader
/// was killed: the consumer has sent each of them, nobody has acknowledged them, and the consumer sends them no more. By the server's
/// user `hub`.
pub fn pass_over(url: &str, to: &str, count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = async_nats::ConnectOptions::new().user_and_password("hub".into(), "hub".into());
        let context = async_nats::jetstream::new(options.connect(url).await.unwrap());
        let config = async_nats::jetstream::consumer::pull::Config {
            durable_name: Some(format!("to-{to}")),
            filter_subject: format!("iapeer.from.*.{to}"),
            ack_wait: Duration::from_millis(100),
            max_deliver: 1,
            ..Default::default()
        };
        let mut consumer = context.create_consumer_on_stream(config, "IAPEER").await.unwrap();
        let sent = consumer.fetch().max_messages(count).messages().await.unwrap();
        assert_eq!(sent.count().await, count);
        let deadline = Instant::now() + PATIENCE;
        while consumer.info().await.unwrap().num_ack_pending > 0 {
            assert!(Instant::now() < deadline, "the consumer goes on awaiting acknowledgements");
            // nats-server 2.9 gives a message up only when somebody asks for the next one.
            let asked = consumer.fetch().max_messages(1).expires(Duration::from_millis(200)).messages().await.unwrap();
            assert_eq!(asked.count().await, 0);
        }
    });
}

/// What the servers at `urls` say about the cluster of the stream.
pub fn cluster(urls: &str) -> Option<async_nats::jetstream::stream::ClusterInfo> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let urls: Vec<async_nats::ServerAddr> = urls.split(',').map(|url| url.parse().unwrap()).collect();
        let client = async_nats::connect(urls).await.ok()?;
        let stream = async_nats::jetstream::new(client).get_stream("IAPEER").await.ok()?;
        stream.cached_info().cluster.clone()
    })
}

/// The server that leads the stream.
pub fn leader(urls: &str) -> String {
    wait_for("a leader", PATIENCE, || cluster(urls)?.leader)
}

/// Waits until `is_done`. A cluster of nats-server 2.9.10 whose leaders were killed may give its stream up for good: then its
/// servers are restarted, as their operator has to do. Returns how often.
pub fn restart_if_given_up(
    servers: &mut [NatsServer],
    base: &TestHome,
    patience: Duration,
    is_done: impl Fn() -> bool,
) -> usize {
    let url = servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",");
    let start = Instant::now();
    let mut restarts = 0;
    while !soon(Duration::from_secs(60), &is_done) {
        assert!(start.elapsed() < patience, "not all have arrived, {restarts} restarts");
        if servers.iter().any(|server| server.log().contains("stream store EOF")) {
            restarts += 1;
            for server in servers.iter_mut() {
                server.kill();
                server.go(base);
                soon(Duration::from_secs(20), || cluster(&url).is_some_and(|now| now.leader.is_some()));
            }
        }
    }
    restarts
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Takes the next message of the consumer of the host `to`, and holds it while `meanwhile` runs. By the server's user `hub`.
pub fn hold_the_next<T>(url: &str, to: &str, meanwhile: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let held = runtime.block_on(async {
        let options = async_nats::ConnectOptions::new().user_and_password("hub".into(), "hub".into());
        let context = async_nats::jetstream::new(options.connect(url).await.unwrap());
        let stream = context.get_stream("IAPEER").await.unwrap();
        let name = format!("to-{to}");
        let consumer: async_nats::jetstream::consumer::PullConsumer = stream.get_consumer(&name).await.unwrap();
        let mut sent = consumer.fetch().max_messages(1).messages().await.unwrap();
        sent.next().await.unwrap().unwrap()
    });
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                runtime.block_on(async {
                    let _ = held.ack_with(async_nats::jetstream::AckKind::Progress).await;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                });
            }
        });
        // Also where `meanwhile` panics.
        let _end = Ending(&is_over);
        meanwhile()
    })
}
