//! What the start of a drain costs, by `posix_spawn` and by what it took the place of: a bare `clone(CLONE_VM)`, which
//! lets its caller go on while the kernel still loads the program, and so can't tell that it does not.

mod clone_vm;

use crate::timing::timed;
use crate::{Bed, in_turns, median};
use iapeer::host::spawn;
use nix::sys::wait::wait;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// A drain that finds nothing to do, started in both ways in turns.
pub fn start(bed: &Bed) {
    bed.parrot("bob", "");
    let drain = Path::new(env!("CARGO_BIN_EXE_iapeer-drain"));
    let arguments: [OsString; 1] = ["parrot-bob".into()];
    let environment: [(OsString, OsString); 2] =
        [("HOME".into(), bed.path("home").into()), ("IAPEER_ROOT".into(), bed.path("root").into())];
    let (mut until_end_before, mut until_end) = (Vec::new(), Vec::new());
    let before = || measure(&mut until_end_before, || clone_vm::detached(drain, &arguments, &environment));
    let now = || measure(&mut until_end, || spawn::detached(drain, &arguments, &environment).expect("a drain"));
    let (mut before, mut now) = in_turns(300, before, now);
    let us = |times: &mut [Duration]| median(times).as_secs_f64() * 1e6;
    println!(
        "start of a drain: its starter goes on after {:.0} µs (posix_spawn) against {:.0} µs (clone(CLONE_VM)), \
         the drain is done after {:.0} µs against {:.0} µs",
        us(&mut now),
        us(&mut before),
        us(&mut until_end),
        us(&mut until_end_before)
    );
}

/// How long `start` takes; how long it is until its child has ended goes into `until_end`.
fn measure(until_end: &mut Vec<Duration>, start: impl FnOnce()) -> Duration {
    let mut started = Duration::ZERO;
    until_end.push(timed(|| {
        started = timed(start);
        wait().expect("a child that ends");
    }));
    started
}
