//! Reads what the screen shows: the files that `iapeer list` reads, and of the selected peer its screen, its queue and
//! the newest lines of the logs. Nothing is changed.

use crate::attention::report;
use crate::base::StateFile;
use crate::base::exit::Failure;
use crate::base::identity::{Identity, Personality};
use crate::host::usage::Usage;
use crate::mailbox::queues::{self, QueueOf};
use crate::operator::logs::NewestLines;
use crate::operator::{list, table};
use crate::people::{Inbox, Letter, owner};
use crate::store::attention;
use crate::store::session_record::SessionRecord;
use crate::top::popup::TopWait;
use crate::top::row::TopRow;
use crate::top::state::{TopDetails, letter_line};
use crate::world::World;
use crate::world::peer::Peer;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How many events are kept of the selected peer.
const EVENTS: usize = 100;
/// The least time between two measurements of CPU time, which the kernel counts in hundredths of a second.
const MEASURED_APART: Duration = Duration::from_secs(2);

/// Reads the peers as a table, and measures the CPU time that they use between two readings.
#[derive(Debug, Default)]
pub(crate) struct PeerTable {
    measured: Option<(Instant, HashMap<Identity, Usage>)>,
    shares: HashMap<Identity, f64>,
}

/// All peers, and the owner with the number of unread messages.
#[derive(Debug, Clone)]
pub(crate) struct TopTable {
    pub rows: Vec<TopRow>,
    pub owner: Option<(Personality, usize)>,
}

impl PeerTable {
    /// Reads all peers, those that need a person first.
    pub(crate) fn read(&mut self, world: &World<'_>) -> Result<TopTable, Failure> {
        let mut listed = list::peers(world)?;
        table::sort(&mut listed);
        let mut usage = HashMap::new();
        let mut rows = Vec::with_capacity(listed.len());
        for peer in &listed {
            let row = TopRow::of(peer);
            usage.extend(peer.foremost().and_then(|on| on.usage).map(|usage| (row.identity.clone(), usage)));
            rows.push(row);
        }
        self.measure(usage, Instant::now());
        for row in &mut rows {
            row.cpu = self.shares.get(&row.identity).copied().filter(|_| row.memory.is_some());
        }
        let owner = owner::owner(world.paths)?;
        let unread =
            |name: &Personality| rows.iter().find(|row| row.identity.personality() == name).map(|row| row.queue);
        let owner = owner.map(|name| {
            let unread = unread(&name).unwrap_or(0);
            (name, unread)
        });
        Ok(TopTable { rows, owner })
    }

    fn measure(&mut self, usage: HashMap<Identity, Usage>, now: Instant) {
        let Some((at, before)) = &self.measured else {
            self.measured = Some((now, usage));
            return;
        };
        let elapsed = now - *at;
        if elapsed >= MEASURED_APART {
            let share =
                |(of, usage): (&Identity, &Usage)| Some((of.clone(), usage.share_since(before.get(of)?, elapsed)?));
            self.shares = usage.iter().filter_map(share).collect();
            self.measured = Some((now, usage));
        }
    }
}

/// Reads the details of one peer at a time.
pub(crate) struct PeerDetails {
    events: NewestLines,
}

impl PeerDetails {
    /// Reads the end of the logs.
    pub(crate) fn open(world: &World<'_>) -> PeerDetails {
        PeerDetails { events: NewestLines::open(world) }
    }

    /// Reads the details of `of`. Asks tmux for the screen, if there is a session.
    pub(crate) fn read(&mut self, world: &World<'_>, of: &Identity) -> TopDetails {
        self.events.read_on();
        let events = self.events.about(of.personality(), EVENTS).into_iter().map(|line| line.brief()).collect();
        let queue = queues::list(world, &[QueueOf::Peer(of.clone())], false);
        let queue = queue.map(|rows| rows.iter().map(queue_line).collect()).map_err(|failure| failure.to_string());
        TopDetails { of: of.clone(), screen: screen(world, of), queue, events, wait: wait(world, of) }
    }
}

/// The rows of a session's screen, without blank ones at its end; for a person the unread messages. The error says why
/// there are none.
fn screen(world: &World<'_>, of: &Identity) -> Result<Vec<String>, String> {
    let peer = Peer::of(world.paths, of).map_err(|failure| failure.to_string())?;
    if peer.has_inbox() {
        let letters = Inbox::of(peer.cwd()).letters(false).map_err(|error| error.to_string())?;
        if letters.is_empty() {
            return Err("nothing unread".to_owned());
        }
        let line =
            |letter: &Letter| letter_line(&letter.ts, &letter.from.to_string(), letter.topic.as_deref(), &letter.body);
        return Ok(letters.iter().map(|filed| line(&filed.letter)).collect());
    }
    if !world.paths.state(of, StateFile::Session).exists() {
        return Err("no session lives: a message wakes it, a attaches to it".to_owned());
    }
    let view = world.host.view(&peer).map_err(|why| format!("no screen to show: {why}"))?;
    let rows = view.screen.rows();
    let end = rows.iter().rposition(|row| !row.trim().is_empty()).map_or(0, |at| at + 1);
    Ok(rows[..end].to_vec())
}

fn queue_line(row: &queues::QueueRow) -> String {
    let line = row.line();
    // The name of the queue is left out: the line above the panes names the peer.
    line.split_once("  ").map_or(line.clone(), |(_, rest)| rest.to_owned())
}

/// What the peer waits for, if that can be answered.
fn wait(world: &World<'_>, of: &Identity) -> Option<TopWait> {
    // A wait of an earlier session ended with that session.
    let launch = SessionRecord::peek(world.paths, of)?.launch;
    let known = attention::peek(world.paths, of).filter(|known| known.state.is_trouble() && known.launch == launch)?;
    let row = report::Row::of(of, &known);
    let what = match &row.tool {
        Some(tool) => format!("{tool}: {}", row.text),
        None => row.text.clone(),
    };
    (!row.answers.is_empty()).then(|| TopWait { of: of.clone(), request: row.id, what, answers: row.answers })
}
