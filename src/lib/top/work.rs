//! The threads that read, and that run errands, so that the thread that takes keys never waits.

use crate::base::identity::Identity;
use crate::base::step;
use crate::host::program;
use crate::session::launch;
use crate::top::errand::{ErrandDone, KeyErrand};
use crate::top::gather::{PeerDetails, PeerTable, TopTable};
use crate::top::state::TopDetails;
use crate::top::tokens::TokenCounts;
use crate::top::watch::{ScreenEvents, ScreenWaker};
use crate::world::World;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

/// What a thread reports.
#[derive(Debug)]
pub(crate) enum News {
    /// All peers, or why they can't be read; and how long that took.
    Table(Result<TopTable, String>, Duration),
    /// All about one peer, and how long reading that took.
    Details(TopDetails, Duration),
    /// The tokens of another peer are read.
    TokensSoFar,
    /// The tokens of each peer, and how long reading them took.
    Tokens(HashMap<Identity, u64>, Duration),
    /// An errand is done.
    Done(ErrandDone),
}

/// The threads, and the channels by which they get their work. They end when this is dropped.
pub(crate) struct Workers {
    table: Sender<()>,
    details: Sender<Identity>,
    tokens: Sender<Vec<Identity>>,
    news: Receiver<News>,
    teller: Teller,
}

/// Sends news to the screen's thread, and wakes it.
#[derive(Clone)]
struct Teller {
    news: Sender<News>,
    waker: ScreenWaker,
}

impl Teller {
    /// Returns whether the screen still receives news.
    fn tell(&self, news: News) -> bool {
        let heard = self.news.send(news).is_ok();
        self.waker.wake();
        heard
    }
}

impl Workers {
    /// Starts the threads that read.
    pub(crate) fn start<'s, 'w: 's>(
        scope: &'s Scope<'s, '_>,
        world: &'s World<'w>,
        mut peers: PeerTable,
        events: &ScreenEvents,
    ) -> Workers {
        let (news, received) = channel();
        let teller = Teller { news, waker: events.waker() };
        let (table, tables) = channel();
        let own = teller.clone();
        scope.spawn(move || {
            for () in tables {
                let began = Instant::now();
                let read = peers.read(world).map_err(|failure| failure.to_string());
                if !own.tell(News::Table(read, began.elapsed())) {
                    return;
                }
            }
        });
        let (details, wanted): (Sender<Identity>, Receiver<Identity>) = channel();
        let own = teller.clone();
        scope.spawn(move || {
            let mut known: Option<PeerDetails> = None;
            for of in wanted {
                let began = Instant::now();
                let known = known.get_or_insert_with(|| PeerDetails::open(world));
                step::panic_point("top.read");
                let read = known.read(world, &of);
                if !own.tell(News::Details(read, began.elapsed())) {
                    return;
                }
            }
        });
        let (tokens, wanted): (Sender<Vec<Identity>>, Receiver<Vec<Identity>>) = channel();
        let own = teller.clone();
        scope.spawn(move || {
            let mut counts = TokenCounts::default();
            for of in wanted {
                // Stops between two peers once the screen has ended: nobody who quits should wait for large transcripts.
                let began = Instant::now();
                let read = counts.read(world, &of, || own.news.send(News::TokensSoFar).is_ok());
                if !own.tell(News::Tokens(read, began.elapsed())) {
                    return;
                }
            }
        });
        Workers { table, details, tokens, news: received, teller }
    }

    // Sending fails only where the thread has panicked.
    pub(crate) fn read_table(&self) {
        let _ = self.table.send(());
    }

    pub(crate) fn read_details(&self, of: Identity) {
        let _ = self.details.send(of);
    }

    pub(crate) fn read_tokens(&self, of: Vec<Identity>) {
        let _ = self.tokens.send(of);
    }

    /// The news that has come.
    pub(crate) fn news(&self) -> Vec<News> {
        self.news.try_iter().collect()
    }

    /// Runs the program of an errand in a thread of its own, which is not waited for when the screen ends.
    pub(crate) fn run(&self, errand: KeyErrand) {
        let teller = self.teller.clone();
        thread::spawn(move || {
            let (program, words) = errand.command();
            let ran = program::output(&launch::bin_dir().join(program), &words, std::env::vars_os());
            let done = match ran {
                Ok(ran) => ErrandDone {
                    errand,
                    succeeded: ran.status.success(),
                    printed: String::from_utf8_lossy(&ran.stdout).into_owned(),
                    complained: String::from_utf8_lossy(&ran.stderr).into_owned(),
                },
                Err(error) => ErrandDone {
                    errand,
                    succeeded: false,
                    printed: String::new(),
                    complained: format!("cannot run {program}: {error}; install the whole set"),
                },
            };
            teller.tell(News::Done(done));
        });
    }
}
