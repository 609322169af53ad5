//! What a stream has lost, or keeps from a host, is published again.

use crate::*;
use support::nats::pass_over;

/// Three messages that the consumer of their host has passed over arrive, after a later one. `server` has the users
/// `laptop`, `box` and `hub`; the relay says `said`.
fn arrive_though_passed_over(server: &NatsServer, said: &str) {
    drop(relay(&member("hub", &[], &server.url(), let_in("hub"))));
    let laptop = member("laptop", &["box"], &server.url(), let_in("laptop"));
    let there = member("box", &["laptop"], &server.url(), let_in("box"));
    let _first = relay(&laptop);
    for body in ["one", "two", "three"] {
        laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", body]);
    }
    wait_until("the stream to have them", PATIENCE, || outbox(&laptop, "box") == (0, 3, 0));
    pass_over(&server.url(), "box", 3);
    let second = relay(&there);
    // Once this one has left the stream before the others, nats-server 2.9 finds two of those three in its stream.
    laptop.ok("iapeer-send", &["me@box", "--require", "delivered", "-m", "four"]);
    assert_eq!(outbox(&laptop, "box"), (0, 3, 0));
    wait_until("their receipts", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    wait_until(said, PATIENCE, || second.stdout().contains(said));
    there.at_rest("person-me");
    assert_eq!(delivered(&there)["person-me@laptop"], ["four", "one", "two", "three"]);
}

#[test]
fn messages_that_the_consumer_has_passed_over_are_taken_all_the_same() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, &users(&["laptop", "box"]));
    arrive_though_passed_over(&server, "to-box has passed over 3 message(s)");
}

/// As where the permissions are those of docs/hosts.md before the relay deleted consumers.
#[test]
fn messages_that_a_consumer_has_passed_over_arrive_where_it_may_not_be_deleted() {
    let base = TestHome::new();
    let allowed = ", \"$JS.API.CONSUMER.DELETE.IAPEER.to-box\"";
    let configuration = users(&["laptop", "box"]);
    assert!(configuration.contains(allowed));
    let server = NatsServer::start(&base, &configuration.replace(allowed, ""));
    arrive_though_passed_over(&server, "the consumer can't be deleted");
}

#[test]
fn a_receipt_that_was_lost_is_repeated_where_its_message_is_sent_again() {
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let [laptop, there] = two(&server);
    let first = relay(&laptop);
    for body in ["one", "two"] {
        laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", body]);
    }
    wait_until("the stream to have them", PATIENCE, || outbox(&laptop, "box") == (0, 2, 0));
    first.signal(Signal::SIGSTOP);
    let _second = relay(&there);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let context = runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        async_nats::jetstream::new(client)
    });
    let receipts = "iapeer.from.box.laptop";
    wait_until("both receipts to be lost", PATIENCE, || {
        runtime.block_on(async {
            let stream = context.get_stream("IAPEER").await.unwrap();
            stream.cached_info().state.messages == 2
                && outbox(&there, "laptop") == (0, 0, 0)
                && stream.purge().filter(receipts).await.unwrap().purged == 2
        })
    });
    first.signal(Signal::SIGCONT);
    laptop.ok("iapeer-send", &["me@box", "--require", "delivered", "-m", "three"]);
    // The first receipt was on its way.
    wait_until("the first receipt", PATIENCE, || outbox(&laptop, "box") == (0, 1, 0));
    runtime.block_on(async { context.publish(receipts, "\"again\"".into()).await.unwrap().await.unwrap() });
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
    laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", "one"]);
    wait_until("the stream to have it", PATIENCE, || outbox(&laptop, "box") == (0, 1, 0));
    server.lose_streams(&base);
    // The message was lost, and the relay has run all the time.
    let second = relay(&there);
    wait_until("its receipt", PATIENCE, || outbox(&laptop, "box") == (0, 0, 0));
    drop(second);
    laptop.ok("iapeer-send", &["me@box", "--no-wait", "-m", "two"]);
    wait_until("the stream to have it", PATIENCE, || outbox(&laptop, "box") == (0, 1, 0));
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
