//! Peers on other hosts that meet at a real nats-server with JetStream.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod hosts_nats {
    mod again;
}
mod support;

use nix::sys::signal::Signal;
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};
use support::mail::{delivered, letters, outbox};
use support::nats::{
    Issuer, NatsServer, certificate, cluster, leader, member, member_of, now, relay, restart_if_given_up, write_private,
};
use support::netns::{Cable, cut_while_both_write};
use support::{PATIENCE, TestHome, wait_for, wait_until};

/// Two hosts that know each other, at a server that lets everybody in.
fn two(server: &NatsServer) -> [TestHome; 2] {
    let url = server.url();
    [member("laptop", &["box"], &url, json!({})), member("box", &["laptop"], &url, json!({}))]
}

#[test]
fn messages_files_refusals_and_probes_go_through_a_stream() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let laptop = member("laptop", &["box"], &server.url(), json!({}));
    let there = member("box", &[], &server.url(), json!({}));
    let first = relay(&laptop);
    // The stream keeps what comes for a host whose relay does not run yet.
    let sent = laptop.ok("iapeer-send", &["me@box", "--wait", "10", "-m", "early"]);
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
    there.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    let asked = laptop.ok("iapeer-send", &["bob@box", "--ask", "-m", "how are you?"]);
    assert_eq!(asked.stdout, "You said: how are you?\n", "{asked}");
    let peers = wait_for("who is there", PATIENCE, || {
        Some(laptop.ok("iapeer", &["list", "--hosts", "--json"]).json_lines()).filter(|peers| !peers.is_empty())
    });
    assert!(peers.iter().any(|peer| peer["address"] == "me@box"), "{peers:?}");
    drop((first, second));
}

#[test]
fn without_a_server_messages_wait_and_the_doctor_says_why() {
    let base = TestHome::new();
    let mut server = NatsServer::start(&base, "");
    let [laptop, there] = two(&server);
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

/// The long form: IAPEER_LINK_CUT=60, a minute (`make soak`).
#[test]
fn a_link_that_is_cut_costs_nothing_but_the_time() {
    let base = TestHome::new();
    let Some(cable) = Cable::new(&base) else { return };
    let [near, far] = [(); 2].map(|()| TestHome::new());
    let [one, other] = cable.namespaces();
    near.move_to(one);
    far.move_to(other);
    let server = NatsServer::start_at(&far, Cable::ADDRESSES[1], "");
    let laptop = member_of(near, "laptop", &["box"], &server.url(), json!({}));
    let there = member_of(far, "box", &["laptop"], &server.url(), json!({}));
    let _relays = [relay(&laptop), relay(&there)];
    cut_while_both_write(&cable, [(&laptop, "laptop"), (&there, "box")]);
}

#[test]
fn a_relay_that_reads_nothing_is_put_out_and_comes_back() {
    let base = TestHome::new();
    let server =
        NatsServer::start(&base, "debug: true\nping_interval: \"300ms\"\nping_max: 1\nwrite_deadline: \"300ms\"\n");
    let [laptop, there] = two(&server);
    let relays = [relay(&laptop), relay(&there)];
    laptop.ok("iapeer-send", &["me@box", "--require", "delivered", "-m", "0"]);
    relays[1].signal(Signal::SIGSTOP);
    for n in 1..20 {
        laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", &n.to_string()]);
    }
    let out = |log: &str| log.contains("Stale Client Connection") || log.contains("Slow Consumer");
    wait_until("the server to give it up", PATIENCE, || out(&server.log()));
    relays[1].signal(Signal::SIGCONT);
    wait_until("all of it", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    there.at_rest("person-me");
    let wanted: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(delivered(&there)["person-me@laptop"], wanted);
}

/// Two hosts that are let in by what `first` and `second` add to their nats.json write to each other.
fn both_are_let_in(url: &str, first: Value, second: Value) -> [TestHome; 2] {
    let homes = [member("laptop", &["box"], url, first), member("box", &["laptop"], url, second)];
    let relays = [relay(&homes[0]), relay(&homes[1])];
    homes[0].ok("iapeer-send", &["me@box", "--require", "delivered", "-m", "x"]);
    homes[1].ok("iapeer-send", &["me@laptop", "--require", "delivered", "-m", "y"]);
    drop(relays);
    homes
}

/// Waits until the relay of `home` is not let in, and the doctor says `why`.
fn is_put_out(home: &TestHome, why: &str) {
    wait_until(why, PATIENCE, || home.run("iapeer", &["doctor"]).stdout.to_lowercase().contains(why));
}

#[test]
fn a_server_with_tls_is_known_by_its_authority_and_a_token_or_an_nkey_lets_in() {
    let base = TestHome::new();
    let (authority, tls) = certificate(&base);
    let server = NatsServer::start(&base, &format!("{tls}authorization {{ token: \"secret word\" }}\n"));
    let url = server.url().replace("nats://", "tls://");
    let with = json!({"ca": authority, "token": "secret word"});
    let [laptop, _there] = both_are_let_in(&url, with.clone(), with);
    // Another token, and an authority that nobody has vouched for.
    for (more, why) in [
        (json!({"ca": authority, "token": "no"}), "authorization violation"),
        (json!({"token": "secret word"}), "unknownissuer"),
    ] {
        let mut file = json!({ "url": url });
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        write_private(&laptop.root().join("nats.json"), &file.to_string());
        let _relay = laptop.spawn("iapeer-relay", &["run"]);
        is_put_out(&laptop, why);
    }
    drop(server);

    let keys = [KeyPair::new_user(), KeyPair::new_user()];
    let users = keys.iter().map(|key| format!("{{ nkey: {} }}", key.public_key())).collect::<Vec<_>>().join("\n");
    let server = NatsServer::start(&base, &format!("authorization {{ users = [\n{users}\n] }}\n"));
    let seeds = ["one", "two"].map(|name| base.dir().join(name));
    for (path, key) in seeds.iter().zip(&keys) {
        write_private(path, &format!("{}\n", key.seed().unwrap()));
    }
    let [laptop, _there] = both_are_let_in(&server.url(), json!({"nkey": seeds[0]}), json!({"nkey": seeds[1]}));
    // A seed that others can read is not used.
    fs::set_permissions(&seeds[0], std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let _relay = laptop.spawn("iapeer-relay", &["run"]);
    is_put_out(&laptop, "chmod 600");
}

#[test]
fn credentials_of_an_account_let_in_until_they_are_taken_back() {
    let base = TestHome::new();
    let issuer = Issuer::new();
    let server = NatsServer::start(&base, &issuer.configuration(&json!({})));
    let keys = [KeyPair::new_user(), KeyPair::new_user()];
    let creds = ["one.creds", "two.creds"].map(|name| base.dir().join(name));
    for (path, key) in creds.iter().zip(&keys) {
        write_private(path, &issuer.credentials(key, json!({})));
    }
    let [laptop, there] = both_are_let_in(&server.url(), json!({"creds": creds[0]}), json!({"creds": creds[1]}));
    let _relays = [relay(&laptop), relay(&there)];
    let at = now();
    let revoked = issuer.configuration(&json!({ keys[0].public_key(): at }));
    server.reconfigure(|text| format!("{}{revoked}", text.split_once("operator:").unwrap().0));
    is_put_out(&laptop, "authorization violation");
    laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", "later"]);
    assert_eq!(outbox(&laptop, "box"), (1, 0, 0));
    // Newer ones are issued: the relay reads the file again by itself.
    wait_until("the next second", PATIENCE, || now() > at);
    write_private(&creds[0], &issuer.credentials(&keys[0], json!({})));
    wait_until("what waited", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    there.at_rest("person-me");
    assert_eq!(delivered(&there)["person-me@laptop"], ["x", "later"]);
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
    let mut killed = 0;
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
            killed += 1;
            let before = through();
            wait_until("messages to go through", PATIENCE, || {
                through() > before || writers.iter().all(|writer| writer.is_finished())
            });
            let dead = leader(&url);
            let server = servers.iter_mut().find(|server| server.name() == dead).unwrap();
            server.kill();
            wait_until("another leader", PATIENCE, || leader(&url) != dead);
            server.go(&base);
            // Three servers bear the loss of one: without this, nats-server 2.9.10 was once left without a leader for good.
            wait_until("the server to have what the others have", PATIENCE, || {
                cluster(&url).is_some_and(|now| now.leader.is_some() && now.replicas.iter().all(|other| other.current))
            });
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
    // A busy machine takes some ten a second.
    let patience = Duration::from_secs(120) + Duration::from_millis(500) * each as u32;
    let mut restarts = restart_if_given_up(&mut servers, &base, patience, || at_rest(3));
    relays.push(homes[3].spawn("iapeer-relay", &["run"]));
    let back = Instant::now();
    restarts += restart_if_given_up(&mut servers, &base, patience, || at_rest(4));
    let took = back.elapsed().as_secs_f64();
    let wanted: Vec<String> = (0..each).map(|n| n.to_string()).collect();
    for (at, home) in homes.iter().enumerate() {
        home.at_rest("person-me");
        let got = delivered(home);
        for from in names[..3].iter().filter(|from| **from != names[at]) {
            let got = got.get(&format!("person-me@{from}")).cloned().unwrap_or_default();
            assert!(got == wanted, "{} of {from}: {} of {each}: {got:?}", names[at], got.len());
        }
    }
    let said = |words: &str| {
        relays.iter().map(|relay| (relay.stdout() + &relay.stderr()).matches(words).count()).sum::<usize>()
    };
    println!(
        "hosts by NATS: {} messages, {killed} leaders killed, 0 lost, 0 twice, all in order; the one that was away had its {} \
         after {took:.0} s; {} requests for what had not come, {} for what was passed over, {restarts} restarts of all servers",
        each * 9,
        each * 3,
        said(" has not come: "),
        said("has passed over"),
    );
}

/// What docs/hosts.md lets a host do, as a user of that name.
fn user(host: &str) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hosts.md")).unwrap();
    let (_, rest) = page.split_once("```nats\n").unwrap();
    let (block, _) = rest.split_once("\n```").unwrap();
    let line = |line: &&str| !line.trim_start().starts_with('#');
    block.lines().filter(line).collect::<Vec<_>>().join("\n").replace("HOST", host)
}

/// The configuration of a server with these hosts as users, and one `hub` that may do everything.
fn users(hosts: &[&str]) -> String {
    let each: String = hosts.iter().map(|host| user(host)).collect::<Vec<_>>().join("\n");
    format!("authorization {{ users = [\n{{ user: hub, password: hub }}\n{each}\n] }}\n")
}

/// What has the user of this name let in, for nats.json.
fn let_in(name: &str) -> Value {
    json!({"user": name, "password": name})
}

#[test]
fn a_host_can_neither_speak_for_another_nor_read_what_is_for_it() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, &users(&["laptop", "box"]));
    // Who may make streams makes them.
    let hub = member("hub", &[], &server.url(), let_in("hub"));
    drop(relay(&hub));
    let laptop = member("laptop", &["box"], &server.url(), let_in("laptop"));
    let there = member("box", &["laptop"], &server.url(), let_in("box"));
    let mut relays = [relay(&laptop), relay(&there)];
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

    // A question for the next message, and a consumer, name where the server is to put what it has: what is put there in
    // another host's name counts for nothing.
    relays[0] = laptop.spawn("true", &[]);
    runtime.block_on(async {
        let options = async_nats::ConnectOptions::new().user_and_password("laptop".into(), "laptop".into());
        let client = options.custom_inbox_prefix("_INBOX.laptop").connect(server.url()).await.unwrap();
        let js = async_nats::jetstream::new(client.clone());
        for (n, subject) in ["iapeer.from.box.laptop", "iapeer.peers.box"].into_iter().enumerate() {
            let forged = json!({"message": {"id": format!("01ARZ3NDEKTSV4RRFFQ69G5F{n:02}"), "seq": n, "to": "me", "from": "person-forged",
                "from_intelligence": "natural", "sent": 1, "body": "x"}});
            js.publish("iapeer.from.laptop.laptop", forged.to_string().into()).await.unwrap().await.unwrap();
            let next = "$JS.API.CONSUMER.MSG.NEXT.IAPEER.to-laptop";
            client.publish_with_reply(next, subject, "{\"batch\":1}".into()).await.unwrap();
            let config = json!({"stream_name": "IAPEER", "config": {"durable_name": "to-laptop", "deliver_subject": subject,
                "filter_subject": "iapeer.from.*.laptop", "ack_policy": "explicit", "deliver_policy": "all", "replay_policy": "instant"}});
            let create = "$JS.API.CONSUMER.CREATE.IAPEER.to-laptop.iapeer.from.*.laptop";
            let made = client.request(create, config.to_string().into()).await.unwrap();
            assert!(String::from_utf8_lossy(&made.payload).contains("\"error\""), "{made:?}");
        }
    });
    relays[0] = relay(&laptop);
    wait_until("both, from whom they came", PATIENCE, || {
        let all = letters(&laptop);
        assert!(all.iter().all(|letter| letter["from"] != "person-forged@box"), "{all:?}");
        all.iter().filter(|letter| letter["from"] == "person-forged@laptop").count() == 2
    });
    let listed = laptop.ok("iapeer", &["list", "--hosts"]);
    assert!(listed.stdout.contains("me@box"), "{listed}");

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
