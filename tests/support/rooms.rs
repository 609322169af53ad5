//! Stories of what an office has beside its agents: another host, a person and her chat, a fleet file, a registry that
//! was lost, approvals.

use super::mail::{letters, outbox};
use super::scenario::{Office, Scenario};
use super::telegram::{Telegram, bridge, connect, without_session};
use super::{PATIENCE, TestHome, bin, wait_until};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::time::{Duration, Instant};

/// What this office has.
#[derive(Default)]
pub struct Rooms {
    /// The home of another host, `box`, with the person `me`. An ssh that runs its command on this machine leads there.
    pub far: Option<TestHome>,
    /// Whom the bridge talks to.
    pub chat: Option<Telegram>,
    /// A fleet file that is in effect at the end.
    pub fleet: Option<String>,
    /// Requests for an approval are answered.
    pub approvals: bool,
}

/// The stories.
pub const ROOMS: &[Scenario] = &[
    Scenario { name: "another host", begin: another_host, act: |o| o.send("me@box", "m1") },
    Scenario {
        name: "another host, with files",
        begin: another_host,
        act: |o| {
            let file = o.home.dir().join("a b.txt");
            fs::write(&file, vec![b'x'; 300_000]).unwrap();
            o.send_with("me@box", "m1", &["--attach", file.to_str().unwrap()]);
        },
    },
    Scenario {
        name: "a host that was away",
        begin: another_host,
        act: |o| {
            let file = o.home.root().join("hosts/box.json");
            let known = fs::read(&file).unwrap();
            write_host(&o.home, "box", &json!({"transport": "ssh", "destination": "there", "program": "/nowhere"}));
            o.send("me@box", "m0");
            fs::write(&file, known).unwrap();
            o.run("iapeer-relay", &["push", "box"]);
            o.send("me@box", "m1");
        },
    },
    Scenario {
        name: "another host refuses",
        begin: another_host,
        act: |o| {
            let file = o.home.dir().join("f");
            fs::write(&file, "x").unwrap();
            o.send_with("nobody@box", "m1", &["--attach", file.to_str().unwrap()]);
        },
    },
    Scenario {
        name: "a host is removed",
        begin: |o| {
            another_host(o);
            write_host(&o.home, "gone", &json!({"transport": "ssh"}));
            o.send("me@gone", "m0");
            o.send("me@gone", "m1");
        },
        act: |o| o.twice(&["host", "remove", "gone", "--force"]),
    },
    Scenario {
        name: "fleet",
        begin: |o| {
            o.home.set("IAPEER_SERVICE_MANAGER", "none");
            o.rooms.fleet = Some(write_fleet(&o.home, "first"));
        },
        act: |o| {
            let file = write_fleet(&o.home, "first");
            o.twice(&["up", &file]);
            write_fleet(&o.home, "second");
            o.twice(&["up", &file]);
            o.run("iapeer", &["down", &file]);
            o.run("iapeer", &["up", &file]);
        },
    },
    Scenario {
        name: "the registry is lost",
        begin: |o| {
            o.send("bob", "m0");
            fs::remove_file(o.home.root().join("peers-profiles.json")).unwrap();
        },
        act: |o| {
            o.twice(&["doctor", "--fix"]);
            o.send("bob", "m1");
        },
    },
    Scenario {
        name: "an approval",
        begin: |o| {
            o.home.launch_env("bob", &[("PARROT_TURN_MS", "5"), ("PARROT_ATTENTION", "approval-hidden")]);
            // The dialog comes up when the hook has died.
            let dir = o.home.root().join("runtimes/parrot");
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).unwrap();
            let file = dir.join("runtime.json");
            fs::write(&file, r#"{"hook_hides_dialog": true}"#).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            o.rooms.approvals = true;
        },
        act: |o| {
            o.post(&[("bob", "m1")]);
            o.a_while(|| o.run("iapeer", &["answer", "bob", "allow"]) == 0);
            o.a_while(|| o.home.queue("parrot-bob") == (0, 0, 0));
        },
    },
    Scenario {
        name: "a person",
        begin: |o| {
            o.home.ok("iapeer", &["create", "me", "--runtime", "person"]);
        },
        act: |o| {
            o.send("me", "m1");
            o.run("iapeer", &["read"]);
            o.run("iapeer-send", &["me", "--from", "ann", "--ask", "--wait", "1", "-m", "a question"]);
        },
    },
    Scenario { name: "a chat", begin: chat, act: talk },
];

/// Gives the office another host.
pub fn another_host(office: &mut Office) {
    let far = TestHome::new();
    far.ok("iapeer", &["create", "me", "--runtime", "person"]);
    let home = &office.home;
    for (at, name, other, root) in [(home, "laptop", "box", far.root()), (&far, "box", "laptop", home.root())] {
        super::ssh::that_runs_here(at);
        fs::write(at.root().join("hostname"), format!("{name}\n")).unwrap();
        let program = bin("iapeer-relay");
        let file = json!({"transport": "ssh", "destination": "there", "root": root, "program": program});
        write_host(at, other, &file);
    }
    office.rooms.far = Some(far);
}

fn write_host(home: &TestHome, name: &str, file: &serde_json::Value) {
    let dir = home.root().join("hosts");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(format!("{name}.json")), file.to_string()).unwrap();
}

fn write_fleet(home: &TestHome, role: &str) -> String {
    let path = home.dir().join("team.toml");
    let text = format!(
        "[fleet]\nowner = \"eve\"\n[peers.eve]\nruntime = \"person\"\n[peers.dan]\nruntime = \"parrot\"\nrole = \"{role}\"\n\
         env = {{ A = \"b\" }}\n[hosts.box]\ndestination = \"me@box\"\n"
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn chat(office: &mut Office) {
    let home = &office.home;
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    let chat = Telegram::start(home);
    fs::write(home.dir().join("token"), format!("{}\n", super::telegram::TOKEN)).unwrap();
    connect(home, &chat, &[]);
    wait_until("the bridge to listen", PATIENCE, || home.session_json("telegram-me").is_some());
    without_session(home);
    office.rooms.chat = Some(chat);
}

/// Both directions, by a bridge that is started again whenever it has died.
fn talk(office: &mut Office) {
    let chat = office.rooms.chat.take().unwrap();
    let code = office.home.run("iapeer-send", &["me", "--from", "ann", "--no-wait", "-m", "m1"]).code;
    office.noted("me in the chat", "m1", code);
    chat.order(json!({ "files": { "F": "a file" } }));
    chat.push(json!({ "text": "/to bob m2" }));
    chat.push(json!({ "caption": "/to bob m3", "document": { "file_id": "F", "file_name": "f.txt", "file_size": 6 } }));
    // What Telegram has shown once it shows again, until it is told that it was taken.
    office.noted("bob", "m2", 0);
    office.noted("bob", "m3", 0);
    let start = Instant::now();
    let mut running = bridge(&office.home);
    let done = |chat: &Telegram| {
        chat.state()["pending"] == 0 && office.home.queue("telegram-me") == (0, 0, 0) && !chat.texts().is_empty()
    };
    while !done(&chat) && start.elapsed() < Duration::from_secs(20) {
        if !running.runs() {
            running = bridge(&office.home);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(running);
    office.rooms.chat = Some(chat);
}

impl Rooms {
    /// What goes on besides ticks until all is at rest.
    pub fn tick(&self, home: &TestHome) {
        if let Some(far) = &self.far {
            far.run("iapeer-superviser", &[]);
        }
        if self.approvals {
            home.run("iapeer", &["answer", "bob", "allow"]);
        }
    }

    /// Whether nothing waits in them.
    pub fn are_quiet(&self, home: &TestHome) -> bool {
        let waits = |home: &TestHome, other: &str| {
            let (waiting, inflight, _) = outbox(home, other);
            waiting + inflight > 0
        };
        let far = |far: &TestHome| {
            let (waiting, inflight, _) = far.queue("person-me");
            waiting + inflight == 0 && !waits(far, "laptop")
        };
        let removed = home.root().join("hosts/gone.removed").exists();
        !removed && !waits(home, "box") && !waits(home, "gone") && self.far.as_ref().is_none_or(far)
    }

    /// The texts by which `to` was given the message `body`; `None`: it is an agent of the office.
    pub fn texts(&self, home: &TestHome, to: &str, body: &str) -> Option<Vec<String>> {
        let of = |home: &TestHome| {
            let bodies = letters(home).into_iter().filter_map(|letter| letter["body"].as_str().map(str::to_owned));
            bodies.filter(|found| found == body).collect()
        };
        match to {
            "me@box" => self.far.as_ref().map(of),
            "nobody@box" | "me@gone" => Some(Vec::new()),
            "me" => Some(of(home)),
            // What Telegram took in the moment of a death may come twice: nobody can ask whether it has it.
            "me in the chat" => {
                let mut texts = self.chat.as_ref().map(Telegram::texts)?;
                texts.retain(|text| text.ends_with(body));
                texts.truncate(1);
                Some(texts)
            }
            _ => None,
        }
    }

    /// What is wrong with them in the end.
    pub fn wrong(&self, home: &TestHome) -> Vec<String> {
        let Some(file) = &self.fleet else { return Vec::new() };
        let up = home.run("iapeer", &["up", file]);
        let differs = home.run("iapeer", &["diff", file]);
        if up.code == 0 && differs.code == 0 {
            return Vec::new();
        }
        vec![format!("the fleet is not as its file says: {up} {differs}")]
    }
}
