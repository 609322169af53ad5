//! Peers on other hosts that meet at a real nats-server with JetStream.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::fs;
use std::time::Duration;
use support::mail::{delivered, letters, outbox};
use support::nats::{NatsServer, member, relay};
use support::{PATIENCE, TestHome, wait_for, wait_until};

#[test]
fn messages_files_refusals_and_probes_go_through_a_stream() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let laptop = member("laptop", &["box"], &server.url(), json!({}));
    let there = member("box", &[], &server.url(), json!({}));
    let first = relay(&laptop);
    // The stream keeps what comes for a host whose relay does not run yet.
    let sent = laptop.ok("iapeer-send", &["me@box", "--wait", "1", "-m", "early"]);
    assert!(sent.stdout.starts_with("queued for me@box (0 waiting: box has it, and has not told yet"), "{sent}");
    let second = relay(&there);
    wait_until("the early one", PATIENCE, || letters(&there).len() == 1);
    let file = laptop.dir().join("big.bin");
    let bytes: Vec<u8> = (0..900_000_u32).map(|n| (n % 253) as u8).collect();
    fs::write(&file, &bytes).unwrap();
    let file = file.to_str().unwrap();
    let sent = laptop.ok("iapeer-send", &["me@box", "--require", "delivered", "--attach", file, "-m", "with a file"]);
    assert!(sent.stdout.starts_with("delivered to me@box (filed)"), "{sent}");
    let letter = letters(&there).pop().unwrap();
    assert_eq!(letter["from"], "person-me@laptop");
    assert_eq!(fs::read(letter["attachments"][0].as_str().unwrap()).unwrap(), bytes);
    // A host that comes by the stream is known from then on: its answer needs no more.
    let id = letter["id"].as_str().unwrap();
    there.ok("iapeer", &["reply", id, "-m", "thanks"]);
    assert_eq!(letters(&laptop).pop().unwrap()["body"], "thanks");
    let refused = laptop.run("iapeer-send", &["nobody@box", "-m", "x"]);
    assert!(refused.stdout.contains("dead letter: box: no peer named \"nobody\""), "{refused}");
    let probed = laptop.ok("iapeer", &["host", "test", "box"]);
    assert!(probed.stdout.starts_with("box answers by nats in "), "{probed}");
    let peers = wait_for("who is there", PATIENCE, || {
        Some(laptop.ok("iapeer", &["list", "--hosts", "--json"]).json_lines()).filter(|peers| !peers.is_empty())
    });
    assert_eq!(peers[0]["address"], "me@box");
    drop((first, second));
}

#[test]
fn without_a_server_messages_wait_and_the_doctor_says_why() {
    let base = TestHome::new();
    let mut server = NatsServer::start(&base, "");
    let laptop = member("laptop", &["box"], &server.url(), json!({}));
    let there = member("box", &["laptop"], &server.url(), json!({}));
    laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", "0"]);
    let found = laptop.run("iapeer", &["doctor"]);
    assert!(found.stdout.contains("iapeer-relay run does not run"), "{found}");
    server.kill();
    let relays = [laptop.spawn("iapeer-relay", &["run"]), there.spawn("iapeer-relay", &["run"])];
    wait_until("the relay to say so", PATIENCE, || relays[0].stdout().contains("cannot connect to"));
    let found = laptop.run("iapeer", &["doctor"]);
    assert!(found.stdout.contains("cannot connect to nats://"), "{found}");
    server.go(&base);
    wait_until("the first", PATIENCE, || letters(&there).len() == 1);
    // The server goes and comes back: the relays do without anybody.
    server.kill();
    laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", "1"]);
    server.go(&base);
    wait_until("the second", PATIENCE, || letters(&there).len() == 2);
    wait_until("its receipt", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
}

#[test]
fn a_full_stream_refuses_and_what_waits_waits() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let laptop = member("laptop", &["box"], &server.url(), json!({"max_bytes": 20_000}));
    let _relay = relay(&laptop);
    let body = "x".repeat(5000);
    for _ in 0..8 {
        laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", &body]);
    }
    wait_until("the stream to be full", PATIENCE, || {
        let found = laptop.run("iapeer", &["doctor"]);
        found.stdout.contains("@box: away for") && found.stdout.contains("maximum bytes exceeded")
    });
    let (waiting, handed_over, _) = outbox(&laptop, "box");
    assert!(waiting > 0 && handed_over > 0 && waiting + handed_over == 8, "{waiting} {handed_over}");
    // Once somebody takes them there is room.
    let there = member("box", &["laptop"], &server.url(), json!({}));
    let _second = relay(&there);
    wait_until("all of them", PATIENCE, || letters(&there).len() == 8);
}

/// The server that leads the stream.
fn leader(urls: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    wait_for("a leader", PATIENCE, || {
        runtime.block_on(async {
            let urls: Vec<async_nats::ServerAddr> = urls.split(',').map(|url| url.parse().unwrap()).collect();
            let client = async_nats::connect(urls).await.ok()?;
            let stream = async_nats::jetstream::new(client).get_stream("IAPEER").await.ok()?;
            stream.cached_info().cluster.as_ref()?.leader.clone()
        })
    })
}

/// The long form: IAPEER_NATS_STORM=1112, ten thousand messages between four roots (`make soak`).
#[test]
fn a_leader_is_killed_and_nothing_is_lost_or_doubled() {
    let given = std::env::var("IAPEER_NATS_STORM").ok().and_then(|n| n.parse().ok());
    let each: usize = given.unwrap_or(25);
    let base = TestHome::new();
    let mut servers = NatsServer::cluster(&base);
    let url = servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",");
    let names = ["ant", "bee", "cat", "dog"];
    let homes: Vec<TestHome> = names
        .iter()
        .map(|name| {
            let others: Vec<&str> = names.iter().filter(|other| *other != name).copied().collect();
            member(name, &others, &url, json!({"replicas": 3}))
        })
        .collect();
    // The last one is away for the whole run.
    let mut relays: Vec<_> = homes[..3].iter().map(relay).collect();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|at| {
                let home = &homes[at];
                scope.spawn(move || {
                    for n in 0..each {
                        for to in names.iter().filter(|to| **to != names[at]) {
                            let to = format!("me@{to}");
                            home.ok("iapeer-send", &[&to, "--from", "me", "--no-wait", "-m", &n.to_string()]);
                        }
                    }
                })
            })
            .collect();
        let through = || homes[..3].iter().flat_map(delivered).map(|(_, tasks)| tasks.len()).sum::<usize>();
        for _ in 0..each.div_ceil(200) {
            let before = through();
            wait_until("messages to go through", PATIENCE, || {
                through() > before || writers.iter().all(|writer| writer.is_finished())
            });
            let dead = leader(&url);
            let server = servers.iter_mut().find(|server| server.name() == dead).unwrap();
            server.kill();
            wait_until("another leader", PATIENCE, || leader(&url) != dead);
            server.go(&base);
        }
        for writer in writers {
            writer.join().unwrap();
        }
    });
    let at_rest = |n: usize| {
        (0..3).all(|at| {
            let others = (0..n).filter(|other| *other != at);
            others.map(|other| outbox(&homes[at], names[other])).all(|counts| counts == (0, 0, 0))
        })
    };
    wait_until("three to have all", Duration::from_secs(240), || at_rest(3));
    relays.push(relay(&homes[3]));
    wait_until("the one that was away to have all", Duration::from_secs(240), || at_rest(4));
    let wanted: Vec<String> = (0..each).map(|n| n.to_string()).collect();
    for (at, home) in homes.iter().enumerate() {
        home.at_rest("person-me");
        let got = delivered(home);
        for from in names[..3].iter().filter(|from| **from != names[at]) {
            let got = got.get(&format!("person-me@{from}")).cloned().unwrap_or_default();
            assert!(got == wanted, "{} of {from}: {} of {each}: {got:?}", names[at], got.len());
        }
    }
}

/// What docs/hosts.md lets a host do, as a user of that name.
fn user(host: &str) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hosts.md")).unwrap();
    let (_, rest) = page.split_once("```nats\n").unwrap();
    let (block, _) = rest.split_once("\n```").unwrap();
    let line = |line: &&str| !line.trim_start().starts_with('#');
    block.lines().filter(line).collect::<Vec<_>>().join("\n").replace("HOST", host)
}

#[test]
fn a_host_can_neither_speak_for_another_nor_read_what_is_for_it() {
    let base = TestHome::new();
    let users = |hosts: &[&str]| {
        let each: String = hosts.iter().map(|host| user(host)).collect::<Vec<_>>().join("\n");
        format!("authorization {{ users = [\n{{ user: hub, password: hub }}\n{each}\n] }}\n")
    };
    let server = NatsServer::start(&base, &users(&["laptop", "box"]));
    let let_in = |name: &str| json!({"user": name, "password": name});
    // Who may make streams makes them.
    let hub = member("hub", &[], &server.url(), let_in("hub"));
    drop(relay(&hub));
    let laptop = member("laptop", &["box"], &server.url(), let_in("laptop"));
    let there = member("box", &["laptop"], &server.url(), let_in("box"));
    let relays = [relay(&laptop), relay(&there)];
    laptop.ok("iapeer-send", &["me@box", "--require", "delivered", "-m", "x"]);
    wait_until("who is there", PATIENCE, || laptop.run("iapeer", &["list", "--hosts"]).stdout.contains("me@box"));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use async_nats::jetstream::{consumer::pull, context::ContextBuilder};
        let options = async_nats::ConnectOptions::new()
            .user_and_password("laptop".into(), "laptop".into())
            .custom_inbox_prefix("_INBOX.laptop");
        let client = options.connect(server.url()).await.unwrap();
        let short = Duration::from_millis(500);
        let js = ContextBuilder::new().timeout(short).ack_timeout(short).build(client.clone());
        let refused = |subject: &'static str| {
            let js = js.clone();
            async move { js.publish(subject, "{}".into()).await.unwrap().await.is_err() }
        };
        assert!(refused("iapeer.from.box.laptop").await, "it speaks for another host");
        assert!(refused("iapeer.peers.box").await, "it tells who is on another host");
        for (name, filter) in
            [("to-box", "iapeer.from.*.box"), ("to-laptop", "iapeer.from.*.box"), ("mine", "iapeer.from.>")]
        {
            let config = pull::Config {
                durable_name: Some(name.into()),
                filter_subject: filter.into(),
                ..pull::Config::default()
            };
            assert!(js.create_consumer_on_stream(config, "IAPEER").await.is_err(), "it reads by {name} of {filter}");
        }
        for subject in ["$JS.API.STREAM.MSG.GET.IAPEER", "$JS.API.STREAM.PURGE.IAPEER", "$JS.API.STREAM.DELETE.IAPEER"]
        {
            let asked = tokio::time::timeout(short, client.request(subject, "{\"seq\":1}".into())).await;
            assert!(!matches!(asked, Ok(Ok(_))), "{subject} is answered");
        }
        // What is published to the stream passes by nobody who listens.
        let mut overheard = client.subscribe("iapeer.from.>").await.unwrap();
        there.ok("iapeer-send", &["me@laptop", "--require", "delivered", "-m", "secret"]);
        let heard = tokio::time::timeout(short, futures_util::StreamExt::next(&mut overheard)).await;
        assert!(!matches!(heard, Ok(Some(_))), "{heard:?}");
    });

    // Credentials that are taken back: what waits waits, and the doctor says why.
    server.reconfigure(|text| text.replace("password: \"laptop\"", "password: \"another\""));
    wait_until("the relay to be put out", PATIENCE, || {
        laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", "later"]);
        laptop.run("iapeer", &["doctor"]).stdout.to_lowercase().contains("authorization violation")
    });
    assert!(outbox(&laptop, "box").0 > 0);
    server.reconfigure(|text| text.replace("password: \"another\"", "password: \"laptop\""));
    wait_until("all to be handed over", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    drop(relays);
}
