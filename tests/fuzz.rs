//! The targets of `fuzz/` without a fuzzer: the kept corpora, and mutations of them by chance, for a few seconds; in
//! `make soak` for minutes (`IAPEER_FUZZ_SECS` for each target).

#![allow(unreachable_pub, clippy::unwrap_used)]

mod fuzz {
    pub mod targets;
}

use fuzz::targets::{TARGETS, Target};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest input; what is read is bounded elsewhere.
const MAX: usize = 16 << 10;

struct Chance(u64);

impl Chance {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// Pieces on which readers stumble.
const PIECES: &[&[u8]] = &[
    b"\0",
    b"\"",
    b"\\",
    b"\n",
    b"\r\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\\ud83d",
    b"\xff",
    b"\xf0\x9f",
    "❯".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{feff}".as_bytes(),
    b"\x1b[",
    b"\x1b[38;5;",
    b"\x1b[2m",
    b"\x1b]0;",
    b"]]>",
    b"<![CDATA[",
    b"]]></message>",
    b"<iap ",
    b"</iap>",
    b" id=\"",
    b"&amp;",
    b"&#0;",
    b"99999999999999999999999;1m",
];

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let mut files: Vec<_> = fs::read_dir(&dir).expect("each target has a corpus").map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn mutate(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut input = corpus[chance.below(corpus.len())].clone();
    for _ in 0..=chance.below(6) {
        let at = chance.below(input.len() + 1);
        let to = (at + chance.below(24)).min(input.len());
        match chance.below(7) {
            0 if at < input.len() => input[at] ^= 1 << chance.below(8),
            1 => drop(input.drain(at..to)),
            2 => {
                let again = input[at..to].to_vec();
                input.splice(at..at, again.repeat(1 + chance.below(4)));
            }
            3 => drop(input.splice(at..to, PIECES[chance.below(PIECES.len())].iter().copied())),
            4 => input.truncate(at),
            5 => {
                let other = &corpus[chance.below(corpus.len())];
                let from = chance.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => drop(input.splice(at..at, PIECES[chance.below(PIECES.len())].iter().copied())),
        }
        input.truncate(MAX);
    }
    input
}

/// Feeds a target for `time`. Returns how many inputs it got, and the first that it fell over.
fn feed(target: &Target, time: Duration) -> (u64, Option<Vec<u8>>) {
    let (kept, start) = (corpus(target), Instant::now());
    let seed = std::env::var("IAPEER_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5EED);
    let mut chance = Chance(seed | 1);
    let falls = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err();
    let mut fed = 0;
    for input in &kept {
        fed += 1;
        if falls(input) {
            return (fed, Some(input.clone()));
        }
    }
    while start.elapsed() < time {
        let input = mutate(&kept, &mut chance);
        fed += 1;
        if falls(&input) {
            return (fed, Some(input));
        }
    }
    (fed, None)
}

#[test]
fn nothing_that_others_write_makes_a_reader_panic_or_comes_back_another() {
    let secs = std::env::var("IAPEER_FUZZ_SECS").ok().and_then(|secs| secs.parse().ok()).unwrap_or(1);
    let mut wrong = Vec::new();
    for target in TARGETS {
        let (fed, fell) = feed(target, Duration::from_secs(secs));
        println!("fuzz: {}: {fed} inputs in {secs} s; wrong: {}", target.name, u32::from(fell.is_some()));
        wrong.extend(fell.map(|input| format!("{}: {:?}", target.name, String::from_utf8_lossy(&input))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
