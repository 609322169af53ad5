//! Clocks of the benches.

use std::time::{Duration, Instant};

/// How long `act` takes.
pub fn timed(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

/// Waits until `ready`, for 30 s at most.
pub fn until(mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited for 30 s in vain");
        std::thread::sleep(Duration::from_micros(200));
    }
}
