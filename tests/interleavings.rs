//! Every order of a few programs' steps, and a kill at any of them: not by chance, all of them, in the simulated world.
//!
//! Two programs: every order, without a bound. Two sends, two drains, a tick and a stop: every order in which no more
//! than a given number of programs are made to wait though they could go on. The laws hold in every state.
//! The short form ends that search after some runs, and says so (`all=false`); the long form (`IAPEER_SOAK=1`) goes on.

#![allow(unreachable_pub, clippy::unwrap_used)]

#[allow(dead_code)] // what only the random histories use
mod simulation {
    pub mod fleet;
    pub mod history;
    pub mod host;
    pub mod laws;
    pub mod orders;
    pub mod program;
    pub mod sim;
    pub mod state;
    pub mod thread;
    pub mod truth;
}

use simulation::fleet::peer;
use simulation::orders::{Before, search};
use simulation::program::Act;
use simulation::sim::Sim;
use std::sync::Arc;

fn is_soak() -> bool {
    std::env::var_os("IAPEER_SOAK").is_some_and(|asked| asked == "1")
}

fn send(from: usize, body: &str) -> Act {
    Act::Send { from: peer(from), to: peer(1), topic: None, body: body.to_owned(), wait: 0 }
}

/// A message waits for bob, who sleeps, and no drain could be started.
fn waiting(sim: &Arc<Sim>) {
    sim.state().detach_fails = 1;
    sim.run(vec![send(2, "waits").into()], 0, 1, None);
    sim.state().detach_fails = 0;
}

/// The same, and bob is awake.
fn awake(sim: &Arc<Sim>) {
    sim.run(vec![Act::Wake(peer(1), false).into()], 0, 1, None);
    waiting(sim);
}

/// More runs than the steps of two programs can need.
const MOST: usize = 40_000;

const ACTS: usize = 4;

/// The `first` of these programs beside itself and each of those after it.
fn every_order_of_two(world: &str, before: Before, first: usize) {
    let acts: [(&str, Act); ACTS] = [
        ("send", send(0, "one")),
        ("drain", Act::Drain(peer(1))),
        ("tick", Act::Tick(vec![peer(1)])),
        ("stop", Act::Stop(peer(1))),
    ];
    let (first_name, one) = &acts[first];
    for (second, two) in &acts[first..] {
        let two = if first_name == second && *second == "send" { send(2, "two") } else { two.clone() };
        let name = format!("{first_name} and {second}, {world}");
        let found = search(&name, before, &[one.clone(), two], u32::MAX, 1, MOST);
        println!("interleavings: {name}, a kill: {} states, {} runs", found.states, found.runs);
        assert!(found.all, "{name}: more than {MOST} runs");
    }
}

/// A process of its own for each, where the tests' runner gives them that: together they take minutes.
macro_rules! orders {
    ($($name:ident: $world:literal, $before:expr, $first:literal;)*) => {$(
        #[test]
        fn $name() {
            every_order_of_two($world, $before, $first);
        }
    )*};
}

orders! {
    every_order_of_a_send_and_another_with_the_peer_asleep: "asleep", waiting, 0;
    every_order_of_a_drain_and_another_with_the_peer_asleep: "asleep", waiting, 1;
    every_order_of_a_tick_and_another_with_the_peer_asleep: "asleep", waiting, 2;
    every_order_of_two_stops_with_the_peer_asleep: "asleep", waiting, 3;
    every_order_of_a_send_and_another_with_the_peer_awake: "awake", awake, 0;
    every_order_of_a_drain_and_another_with_the_peer_awake: "awake", awake, 1;
    every_order_of_a_tick_and_another_with_the_peer_awake: "awake", awake, 2;
    every_order_of_two_stops_with_the_peer_awake: "awake", awake, 3;
}

/// A tick of all takes away the marks of those that are at rest, while another program is about to act.
#[test]
fn every_order_of_a_tick_of_all_and_another_with_nothing_to_do() {
    let bound = if is_soak() { u32::MAX } else { 2 };
    for (other, act) in [("send", send(0, "one")), ("stop", Act::Stop(peer(1)))] {
        let name = format!("tick of all and {other}");
        let found = search(&name, |_| {}, &[Act::Tick(vec![]), act], bound, 1, MOST);
        println!(
            "interleavings: {name}, at most {bound} switches, a kill: {} states, {} runs",
            found.states, found.runs
        );
        assert!(found.all, "{name}: more than {MOST} runs");
    }
}

#[test]
fn every_order_of_six_programs_within_a_bound() {
    let acts = [
        send(0, "one"),
        send(2, "two"),
        Act::Drain(peer(1)),
        Act::Drain(peer(1)),
        Act::Tick(vec![]),
        Act::Stop(peer(1)),
    ];
    // A second switch has more states than some ten gigabytes of memory hold.
    let most = if is_soak() { 300_000 } else { 1000 };
    for switches in 0..=1 {
        let found = search("six", |_| {}, &acts, switches, 1, most);
        println!(
            "interleavings: six programs, {switches} switches, a kill: {} states, {} runs, all={}",
            found.states, found.runs, found.all
        );
    }
}
