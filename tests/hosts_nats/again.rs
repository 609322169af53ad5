//! What a stream has lost, or keeps from a host, is published again.

use crate::*;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Stream;
use std::collections::BTreeMap;
use support::mail::delivered_to;
use support::nats::{hold_the_next, pass_over};

/// Sends `bodies` from `laptop` to `me` on box, and waits until the stream has them.
fn in_the_stream(laptop: &TestHome, bodies: &[&str]) {
    for body in bodies {
        laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", body]);
    }
    wait_until("the stream to have them", PATIENCE, || outbox(laptop, "box") == (0, bodies.len(), 0));
}

/// Three messages that the consumer of their host has passed over arrive, before a later one where there is one. `server`
/// has the users `laptop`, `box` and `hub`.
fn arrive_though_passed_over(server: &NatsServer, later: Option<&str>) {
    drop(relay(&member("hub", &[], &server.url(), let_in("hub"))));
    let laptop = member("laptop", &["box"], &server.url(), let_in("laptop"));
    let there = member("box", &["laptop"], &server.url(), let_in("box"));
    let _first = relay(&laptop);
    in_the_stream(&laptop, &["one", "two", "three"]);
    pass_over(&server.url(), "box", 3);
    let second = relay(&there);
    // Once this one has left the stream before the others, nats-server 2.9 finds two of those three in its stream.
    if let Some(body) = later {
        laptop.ok("iapeer-send", &["me@box", "--require", "delivered", "-m", body]);
    }
    wait_until("their receipts", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    wait_until("the relay to say so", PATIENCE, || second.stderr().contains("to-box has passed over 3 message(s)"));
    there.at_rest("person-me");
    let wanted: Vec<&str> = ["one", "two", "three"].into_iter().chain(later).collect();
    assert_eq!(delivered(&there)["person-me@laptop"], wanted);
}

#[test]
fn messages_that_the_consumer_has_passed_over_are_taken_all_the_same() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, &users(&["laptop", "box"]));
    arrive_though_passed_over(&server, None);
}

#[test]
fn a_later_message_waits_for_those_that_the_consumer_has_passed_over() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, &users(&["laptop", "box"]));
    arrive_though_passed_over(&server, Some("four"));
}

/// A consumer sends nothing while somebody else holds the message that it sent last. Where a host may not delete it, the
/// permissions are those of docs/hosts.md before the relay deleted consumers.
#[test]
fn a_consumer_that_sends_nothing_is_made_anew_or_named_where_it_may_not_be_deleted() {
    let base = TestHome::new();
    let allowed = ", \"$JS.API.CONSUMER.DELETE.IAPEER.to-cat\"";
    let configuration = users(&["laptop", "box", "cat"]);
    assert!(configuration.contains(allowed));
    let server = NatsServer::start(&base, &configuration.replace(allowed, ""));
    drop(relay(&member("hub", &[], &server.url(), let_in("hub"))));
    let laptop = member("laptop", &["box", "cat"], &server.url(), let_in("laptop"));
    let others = ["box", "cat"].map(|name| member(name, &["laptop"], &server.url(), let_in(name)));
    // They make their consumers.
    drop(others.each_ref().map(relay));
    let _first = relay(&laptop);
    let send = |body| ["me@box", "me@cat"].map(|to| laptop.ok("iapeer-send", &[to, "--no-wait", "-m", body]));
    let counts = || ["box", "cat"].map(|name| outbox(&laptop, name));
    send("one");
    wait_until("the stream to have them", PATIENCE, || counts() == [(0, 1, 0); 2]);
    let relays = hold_the_next(&server.url(), "box", || {
        hold_the_next(&server.url(), "cat", || {
            send("two");
            let relays = others.each_ref().map(|home| home.spawn("iapeer-relay", &["run"]));
            for (relay, said) in relays.iter().zip(["(to-box sends nothing)", "the consumer can't be deleted"]) {
                wait_until(said, PATIENCE * 2, || relay.stdout().contains(said));
            }
            // The first one needs nobody to give up what he holds.
            wait_until("the receipts of box", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
            relays
        })
    });
    wait_until("the receipts", PATIENCE, || counts() == [(0, 0, 0); 2]);
    drop(relays);
    for home in &others {
        home.at_rest("person-me");
        assert_eq!(delivered(home)["person-me@laptop"], ["one", "two"]);
    }
}

#[test]
fn a_message_is_delivered_though_the_server_takes_no_acknowledgement_of_it() {
    let base = TestHome::new();
    let allowed = "\"$JS.ACK.IAPEER.to-box.>\"";
    let configuration = users(&["laptop", "box"]);
    assert!(configuration.contains(allowed));
    let server = NatsServer::start(&base, &configuration.replace(allowed, "\"none\""));
    drop(relay(&member("hub", &[], &server.url(), let_in("hub"))));
    let laptop = member("laptop", &["box"], &server.url(), let_in("laptop"));
    let there = member("box", &["laptop"], &server.url(), let_in("box"));
    let _relays = [relay(&laptop), relay(&there)];
    laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", "one"]);
    wait_until("the message", PATIENCE, || letters(&there).len() == 1);
    wait_until("its receipt", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
}

#[test]
fn a_receipt_that_was_lost_is_repeated_where_its_message_is_sent_again() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let [laptop, there] = two(&server);
    let first = relay(&laptop);
    in_the_stream(&laptop, &["one", "two"]);
    first.signal(Signal::SIGSTOP);
    let _second = relay(&there);
    let receipts = "iapeer.from.box.laptop";
    wait_until("both receipts to be lost", PATIENCE, || {
        on_stream(&server, async |_, stream| {
            stream.cached_info().state.messages == 2
                && outbox(&there, "laptop") == (0, 0, 0)
                && stream.purge().filter(receipts).await.unwrap().purged == 2
        })
    });
    first.signal(Signal::SIGCONT);
    laptop.ok("iapeer-send", &["me@box", "--require", "delivered", "-m", "three"]);
    // The first receipt was on its way.
    wait_until("the first receipt", PATIENCE, || outbox(&laptop, "box") == (0, 1, 0));
    // Box asks for everything without a receipt: as a line of the protocol, since nothing is missing there.
    let asks = json!({"message": {
        "id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "seq": 9, "from": "system-iapeer", "from_intelligence": "absent", "sent": 1,
        "errand": "again", "body": "",
    }});
    on_stream(&server, async |context, _| {
        context.publish(receipts, asks.to_string().into()).await.unwrap().await.unwrap()
    });
    wait_until("their receipts", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    there.at_rest("person-me");
    assert_eq!(delivered(&there)["person-me@laptop"], ["one", "two", "three"]);
}

#[test]
fn a_dead_letter_that_is_requeued_at_once_is_no_duplicate_to_the_stream() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let [laptop, there] = two(&server);
    let _relays = [relay(&laptop), relay(&there)];
    let refused = laptop.run("iapeer-send", &["bob@box", "--json", "-m", "x"]);
    assert_eq!(outbox(&laptop, "box"), (0, 0, 1), "{refused}");
    there.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    let id = refused.json()["id"].as_str().unwrap().to_owned();
    laptop.ok("iapeer-drain", &["--requeue", &id]);
    wait_until("its receipt", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    assert_eq!(there.bodies("bob"), ["x"]);
}

#[test]
fn what_was_in_a_stream_that_the_server_has_lost_is_published_again() {
    let base = TestHome::new();
    let mut server = NatsServer::start(&base, "");
    let [laptop, there] = two(&server);
    let first = relay(&laptop);
    in_the_stream(&laptop, &["one"]);
    server.lose_streams(&base);
    // The message was lost, and the relay has run all the time.
    let second = relay(&there);
    wait_until("its receipt", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    drop(second);
    in_the_stream(&laptop, &["two"]);
    drop(first);
    let second = relay(&there);
    wait_until("the stream to have its receipt", PATIENCE, || {
        letters(&there).len() == 2 && outbox(&there, "laptop") == (0, 0, 0)
    });
    drop(second);
    server.lose_streams(&base);
    // The receipt was lost, and the relays are new.
    let _relays = [relay(&laptop), relay(&there)];
    wait_until("the receipt", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    there.at_rest("person-me");
    assert_eq!(delivered(&there)["person-me@laptop"], ["one", "two"]);
}

/// What `call` returns, of the stream of `server`.
fn on_stream<T>(server: &NatsServer, call: impl AsyncFnOnce(&Context, &Stream) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
        let stream = context.get_stream("IAPEER").await.unwrap();
        call(&context, &stream).await
    })
}

/// Deletes each third message that comes from `from` for `to` from the stream of `server`, while `go_on` says so, but no
/// message more than twice. Returns how many.
fn delete_each_third(server: &NatsServer, from: &str, to: &str, go_on: impl Fn() -> bool) -> usize {
    on_stream(server, async |_, stream| {
        let subject = format!("iapeer.from.{from}.{to}");
        let (mut seen, mut deleted) = (0, BTreeMap::<String, usize>::new());
        while go_on() {
            let Ok(last) = stream.get_last_raw_message_by_subject(&subject).await else { continue };
            if last.sequence <= seen {
                continue;
            }
            seen = last.sequence;
            let line: Value = serde_json::from_slice(&last.payload).unwrap();
            let times = deleted.entry(line["message"]["id"].to_string()).or_default();
            if seen.is_multiple_of(3) && *times < 2 && stream.delete_message(seen).await.is_ok() {
                *times += 1;
            }
        }
        deleted.values().sum()
    })
}

#[test]
fn what_a_stream_loses_is_asked_for_and_the_order_is_kept() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let [laptop, there] = two(&server);
    laptop.ok("iapeer", &["create", "you", "--runtime", "person"]);
    there.ok("iapeer", &["create", "you", "--runtime", "person"]);
    let _relays = [relay(&laptop), relay(&there)];
    let each = 60;
    let deleted = std::thread::scope(|scope| {
        let writers: Vec<_> = ["me", "you"]
            .into_iter()
            .map(|from| {
                let laptop = &laptop;
                scope.spawn(move || {
                    for n in 0..each {
                        let to = if n % 5 == 0 { "you@box" } else { "me@box" };
                        laptop.ok("iapeer-send", &[to, "--from", from, "--no-wait", "-m", &n.to_string()]);
                    }
                })
            })
            .collect();
        delete_each_third(&server, "laptop", "box", || writers.iter().any(|writer| !writer.is_finished()))
    });
    assert!(deleted > 0);
    // What is lost after the last message is asked for by nobody.
    laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", "last"]);
    wait_until("all receipts", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    for to in ["me", "you"] {
        there.at_rest(&format!("person-{to}"));
        let got = delivered_to(&there, to);
        for from in ["me", "you"] {
            let wanted: Vec<String> =
                (0..each).filter(|n| (n % 5 == 0) == (to == "you")).map(|n| n.to_string()).collect();
            let mut got = got[&format!("person-{from}@laptop")].clone();
            got.retain(|body| body != "last");
            assert_eq!(got, wanted, "from {from} to {to}");
        }
    }
    println!("{deleted} of {} messages deleted from the stream", 2 * each + 1);
}

#[test]
fn what_was_asked_for_is_published_again_though_the_relay_was_killed_before() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let [laptop, there] = two(&server);
    let first = relay(&laptop);
    in_the_stream(&laptop, &["one"]);
    drop(first);
    on_stream(&server, async |_, stream| stream.purge().await.unwrap());
    // The request was acknowledged, and is in this file. Also one that a crash has torn counts.
    let wanted = laptop.root().join("state/outbox/box.again");
    fs::write(&wanted, "01ARZ3NDEK").unwrap();
    let _relays = [relay(&laptop), relay(&there)];
    wait_until("its receipt", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    assert!(!wanted.exists());
    there.at_rest("person-me");
    assert_eq!(delivered(&there)["person-me@laptop"], ["one"]);
}

#[test]
fn a_message_that_this_version_cannot_read_is_refused_and_holds_up_no_other() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let [laptop, there] = two(&server);
    let first = relay(&laptop);
    let sent = laptop.ok("iapeer-send", &["me@box", "--no-wait", "--json", "-m", "one"]);
    let id = sent.json()["id"].as_str().unwrap().to_owned();
    wait_until("the stream to have it", PATIENCE, || outbox(&laptop, "box") == (0, 1, 0));
    on_stream(&server, async |context, stream| {
        let message = stream.get_last_raw_message_by_subject("iapeer.from.laptop.box").await.unwrap();
        let mut line: Value = serde_json::from_slice(&message.payload).unwrap();
        line["message"]["from_intelligence"] = json!("of another kind");
        stream.purge().await.unwrap();
        context.publish("iapeer.from.laptop.box", line.to_string().into()).await.unwrap().await.unwrap();
    });
    laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", "two"]);
    let _second = relay(&there);
    wait_until("their receipts", PATIENCE, || outbox(&laptop, "box") == (0, 0, 1));
    let dead = laptop.ok("iapeer-drain", &["--list"]);
    assert!(dead.stdout.contains(&id) && dead.stdout.contains("upgrade iapeer on box"), "{dead}");
    there.at_rest("person-me");
    assert_eq!(delivered(&there)["person-me@laptop"], ["two"]);
    drop(first);
}

#[test]
fn the_files_that_a_stream_loses_are_asked_for() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let [laptop, there] = two(&server);
    let _first = relay(&laptop);
    let file = laptop.dir().join("big.bin");
    let bytes: Vec<u8> = (0..600_000_u32).map(|n| (n % 253) as u8).collect();
    fs::write(&file, &bytes).unwrap();
    let file = file.to_str().unwrap();
    laptop.ok("iapeer-send", &["me@box", "--no-wait", "--attach", file, "-m", "with a file"]);
    laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", "later"]);
    wait_until("the stream to have them", PATIENCE, || outbox(&laptop, "box") == (0, 2, 0));
    on_stream(&server, async |_, stream| {
        // The second of three parts.
        let part = stream.get_raw_message(2).await.unwrap();
        assert!(serde_json::from_slice::<Value>(&part.payload).unwrap()["part"]["offset"].as_u64() > Some(0));
        stream.delete_message(2).await.unwrap();
    });
    let _second = relay(&there);
    wait_until("their receipts", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    there.at_rest("person-me");
    assert_eq!(delivered(&there)["person-me@laptop"], ["with a file", "later"]);
    let letter = letters(&there).into_iter().find(|letter| letter["body"] == "with a file").unwrap();
    assert_eq!(fs::read(letter["attachments"][0].as_str().unwrap()).unwrap(), bytes);
}

#[test]
fn what_a_stream_still_has_is_sent_by_ssh_first_once_its_host_is_reached_by_ssh() {
    let (laptop, there) = support::ssh::two();
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let by_ssh: Value = serde_json::from_slice(&fs::read(laptop.home.root().join("hosts/box.json")).unwrap()).unwrap();
    write_private(&laptop.home.root().join("nats.json"), &json!({"url": server.url()}).to_string());
    laptop.home.ok("iapeer", &["host", "add", "box", "--nats"]);
    let _relay = relay(&laptop.home);
    laptop.home.ok("iapeer-send", &["me@box", "--no-wait", "-m", "one"]);
    wait_until("the stream to have it", PATIENCE, || laptop.outbox("box") == (0, 1, 0));
    let word = |key: &str| by_ssh[key].as_str().unwrap();
    let add = ["host", "add", "box", word("destination"), "--root", word("root"), "--program", word("program"), "--"];
    let options = by_ssh["options"].as_array().unwrap().iter().map(|option| option.as_str().unwrap());
    laptop.home.ok("iapeer", &add.into_iter().chain(options).collect::<Vec<_>>());
    laptop.home.ok("iapeer-send", &["me@box", "--require", "delivered", "-m", "two"]);
    wait_until("its receipt", PATIENCE, || laptop.outbox("box") == (0, 0, 0));
    there.home.at_rest("person-me");
    assert_eq!(delivered(&there.home)["person-me@laptop"], ["one", "two"]);
}

#[test]
fn what_has_no_receipt_for_long_is_published_again() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let [laptop, there] = two(&server);
    laptop.set("IAPEER_RESEND_SECS", "1");
    let _first = relay(&laptop);
    in_the_stream(&laptop, &["one"]);
    on_stream(&server, async |_, stream| stream.purge().await.unwrap());
    let _second = relay(&there);
    wait_until("its receipt", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    assert_eq!(delivered(&there)["person-me@laptop"], ["one"]);
}

#[test]
fn a_message_that_comes_again_is_known_though_its_recipient_was_renamed() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let [laptop, there] = two(&server);
    there.ok("iapeer", &["create", "you", "--runtime", "person"]);
    let first = relay(&laptop);
    laptop.ok("iapeer-send", &["you@box", "--no-wait", "-m", "one"]);
    wait_until("the stream to have it", PATIENCE, || outbox(&laptop, "box") == (0, 1, 0));
    first.signal(Signal::SIGSTOP);
    let subject = "iapeer.from.laptop.box";
    let line = on_stream(&server, async |_, stream| stream.get_last_raw_message_by_subject(subject).await.unwrap());
    let _second = relay(&there);
    wait_until("its receipt to be lost", PATIENCE, || {
        on_stream(&server, async |_, stream| stream.purge().filter("iapeer.from.box.laptop").await.unwrap().purged == 1)
    });
    there.ok("iapeer", &["rename", "you", "they"]);
    there.ok("iapeer", &["create", "you", "--runtime", "person"]);
    on_stream(&server, async |context, _| context.publish(subject, line.payload.clone()).await.unwrap().await.unwrap());
    first.signal(Signal::SIGCONT);
    wait_until("its receipt", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    assert_eq!(delivered_to(&there, "they")["person-me@laptop"], ["one"]);
    assert!(delivered_to(&there, "you").is_empty());
}
