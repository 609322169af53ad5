//! Stories of an office's agents: messages, wakes, ends, dead letters, and the verbs of the roster.

use super::scenario::{GONE, Office, Scenario};
use serde_json::Value;
use std::fs;
use std::time::{Duration, SystemTime};

/// The stories.
pub const OFFICE: &[Scenario] = &[
    Scenario { name: "first contact", begin: |_| {}, act: |o| o.send("bob", "m1") },
    Scenario { name: "warm", begin: |o| o.send("bob", "m0"), act: |o| o.send("bob", "m1") },
    Scenario {
        name: "tick",
        begin: messy,
        act: |o| {
            o.tick();
            o.send("bob", "m1");
            // Looks at a session that has printed something.
            o.tick();
        },
    },
    Scenario {
        name: "wake",
        begin: |_| {},
        act: |o| {
            o.run("iapeer-wake", &["bob"]);
            o.run("iapeer-drain", &["parrot-bob"]);
        },
    },
    Scenario {
        name: "reap",
        begin: |o| o.send("bob", "m0"),
        act: |o| {
            o.run("iapeer-reap", &["parrot-bob", "--park"]);
            o.tick();
        },
    },
    Scenario {
        name: "stop and start",
        begin: |o| o.send("bob", "m0"),
        act: |o| {
            o.run("iapeer", &["stop", "bob"]);
            o.run("iapeer", &["start", "bob"]);
            o.send("bob", "m1");
        },
    },
    Scenario {
        name: "worker",
        begin: |_| {},
        act: |o| {
            o.send("wes", "task");
            o.answered();
        },
    },
    Scenario {
        name: "worker dies",
        begin: |o| o.home.launch_env("wes", &[("PARROT_CRASH", "turn"), ("PARROT_TURN_MS", "10")]),
        act: |o| {
            o.send("wes", "task");
            o.buried();
        },
    },
    Scenario { name: "dead letter", begin: broken, act: |o| o.send("bob", "m1") },
    Scenario { name: "requeue and drop", begin: two_dead, act: requeue_and_drop },
    Scenario { name: "rotation", begin: full_logs, act: |o| o.send("bob", "m1") },
    Scenario {
        name: "create",
        begin: |_| {},
        act: |o| {
            o.run("iapeer", &["create", "dan", "--runtime", "parrot"]);
        },
    },
    Scenario {
        name: "defaults of launches",
        begin: |_| {},
        act: |o| {
            o.run("iapeer", &["native-memory", "off"]);
            o.send("bob", "m1");
        },
    },
    Scenario {
        name: "rename",
        begin: |o| {
            o.hold("bob");
            o.send("bob", "m0");
        },
        act: |o| {
            o.twice(&["rename", "bob", "bill"]);
            o.let_go(&["bob", "bill"]);
            o.send_to("bill", "bob", "m1");
        },
    },
    Scenario {
        name: "rename, live",
        begin: |o| o.send("bob", "m0"),
        act: |o| {
            o.run("iapeer", &["rename", "bob", "bill", "--force"]);
            o.send_to("bill", "bob", "m1");
        },
    },
    Scenario {
        name: "remove",
        begin: |o| {
            o.home.parrot("dan", &[]);
            o.hold("dan");
            o.home.ok("iapeer-send", &["dan", "--from", "ann", "--wait", "0", "-m", GONE]);
            o.home.at_rest("parrot-dan");
        },
        act: |o| {
            o.twice(&["remove", "dan", "--force"]);
            o.let_go(&["dan"]);
            o.twice(&["create", "dan", "--runtime", "parrot"]);
            o.send("dan", "m1");
        },
    },
    Scenario {
        name: "remove, live",
        begin: |o| {
            o.home.parrot("dan", &[]);
            o.send("dan", "m0");
        },
        act: |o| {
            o.run("iapeer", &["remove", "dan", "--force"]);
            o.send("bob", "m1");
        },
    },
    Scenario {
        name: "content can't be synced",
        begin: |o| {
            o.send("bob", "m0");
            o.home.set("IAPEER_FAULT", "iapeer-send/fsync:1:EIO");
        },
        act: |o| o.send("bob", "m1"),
    },
    Scenario {
        name: "names can't be synced",
        begin: |o| {
            o.send("bob", "m0");
            o.home.set("IAPEER_FAULT", "iapeer-send/fsync:2:EIO");
        },
        act: |o| o.send("bob", "m1"),
    },
];

/// A peer whose server has died, litter, an item that somebody put there, a spoilt number.
fn messy(office: &mut Office) {
    office.send("bob", "m0");
    office.home.at_rest("parrot-bob");
    let queue = office.home.state_dir().join("parrot-bob.queue");
    fs::write(queue.join("seq"), "a spoilt number, longer than any\n").unwrap();
    fs::write(queue.join("7"), r#"{"task":"by hand"}"#).unwrap();
    let litter = fs::File::create(queue.join(".tmp-1-2-3")).unwrap();
    litter.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
    office.home.tmux("parrot-bob", &["kill-server"]);
}

fn broken(office: &mut Office) {
    office.home.launch_env("bob", &[("PARROT_CRASH", "boot")]);
}

fn two_dead(office: &mut Office) {
    broken(office);
    office.send("bob", "again");
    office.send("bob", "dropped");
    office.settle().unwrap();
    office.home.launch_env("bob", &[]);
}

fn requeue_and_drop(office: &mut Office) {
    for body in ["again", "dropped"] {
        let id =
            office.items().into_iter().find(|(_, _, item)| item["task"] == body).map(|(_, _, item)| item["id"].clone());
        let Some(Value::String(id)) = id else { continue };
        // A second time: what an interrupted call left is finished by the next one.
        for _ in 0..2 {
            office.run("iapeer-drain", &[if body == "again" { "--requeue" } else { "--drop" }, &id]);
        }
    }
}

fn full_logs(office: &mut Office) {
    for name in ["IAPEER_LIFECYCLE_LOG_MAX_BYTES", "IAPEER_DELIVERY_LOG_MAX_BYTES", "IAPEER_HISTORY_MAX_BYTES"] {
        office.home.set(name, "300");
    }
    office.home.set("IAPEER_DELIVERY_LOG_KEEP", "3");
    for n in 0..3 {
        office.send("bob", &format!("full {n}"));
    }
}
