//! The simulated host: sessions that boot, take messages, work and die as the history says.

use super::fleet::has_hooks;
use super::laws;
use super::program::hook;
use super::sim::{Machine, atomically};
use super::state::State;
use super::truth::{Boot, Fate, Session, Turn, TurnKind, Typed};
use iapeer::base::Liveness;
use iapeer::base::evidence::Evidence;
use iapeer::base::exit::{Exit, Failure};
use iapeer::base::hold::Hold;
use iapeer::base::identity::Identity;
use iapeer::base::message_id::MessageId;
use iapeer::base::wake::NothingToResume;
use iapeer::host::ProcessId;
use iapeer::host::managed::Managed;
use iapeer::host::spawn::SpawnError;
use iapeer::host::tmux::TmuxError;
use iapeer::message::envelope::Envelope;
use iapeer::runtime::transcript::TurnEnd;
use iapeer::session::hook::Hook;
use iapeer::store::markers::Turn as Marked;
use iapeer::store::{SessionRecord, StoreError};
use iapeer::world::peer::Peer;
use iapeer::world::{
    CompactError, Delivery, Host, HostError, Landing, Launch, NotReady, NotStarted, Processes, TerminalTimes,
    TranscriptTimes,
};
use std::path::Path;
use std::time::Duration;

/// How long the evidence of a late taking needs.
const LATE: u64 = 150;

impl Machine {
    /// Whether the host refuses to say anything of this session now.
    fn unknown(&self, identity: &Identity) -> bool {
        let mut state = self.0.state();
        let left = &mut state.truth(identity).unknown;
        let unknown = *left > 0;
        *left = left.saturating_sub(1);
        unknown
    }

    fn took(&self, delivery: &Delivery<'_>, state: &mut State, typed: Typed) {
        let identity = &delivery.peer.identity;
        laws::at_taking(&self.0, state, identity, &typed);
        let (mono, now) = (state.mono, state.now());
        state.note(format!("{identity} takes {} ({})", typed.id, typed.body.lines().next().unwrap_or_default()));
        let truth = state.truth(identity);
        let kind = truth.turns.pop_front().unwrap_or(TurnKind::Plain(200));
        truth.transcript.push(typed.id);
        truth.prompts.push((typed.id, truth.records));
        truth.records += 1;
        truth.last = Some(now);
        let Some(session) = truth.session.as_mut() else { return };
        let (answers_at, ends_at, dies) = match kind {
            TurnKind::Plain(ms) => (Some(mono + ms), mono + ms, false),
            TurnKind::Mute(ms) => (None, mono + ms, false),
            TurnKind::EarlyAnswer(ms) => (Some(mono + 1), mono + ms, false),
            TurnKind::Dies(ms) => (None, mono + ms, true),
        };
        let answers_at = answers_at.filter(|_| super::fleet::is_worker(identity));
        let before = session.turn.as_ref().map_or(0, |turn| turn.ends_at);
        session.turn = Some(Turn { answers_at, ends_at: ends_at.max(before), dies, answer_to: typed.from.clone() });
        session.tasks.push(typed.id);
        session.last_move = now;
        truth.taken.push(typed);
    }
}

impl Host for Machine {
    fn liveness(&self, identity: &Identity, record: Option<&SessionRecord>) -> Liveness {
        self.0.point();
        if self.unknown(identity) {
            return Liveness::Unknown;
        }
        let mut state = self.0.state();
        let known = record.and_then(|record| record.server);
        match state.truth(identity).live() {
            Some(session) if known.is_none_or(|server| server == session.server) => Liveness::Alive,
            _ => Liveness::Gone,
        }
    }

    fn has_trace(&self, identity: &Identity) -> bool {
        self.0.point();
        self.0.state().truth(identity).traced
    }

    fn clear_trace(&self, identity: &Identity) {
        self.0.point();
        let mut state = self.0.state();
        let truth = state.truth(identity);
        truth.traced &= truth.live().is_some();
    }

    fn processes(&self, identity: &Identity) -> Result<Processes, HostError> {
        self.0.point();
        if self.unknown(identity) {
            return Err(HostError::Silent);
        }
        let mut state = self.0.state();
        let session = state.truth(identity).live().ok_or(HostError::Tmux(TmuxError::NoSession))?;
        Ok(Processes { server: session.server, pane: None, pane_id: None, unit: None })
    }

    fn sockets(&self) -> Result<Vec<Identity>, StoreError> {
        self.0.point();
        let state = self.0.state();
        Ok(state.peers.iter().filter(|(_, truth)| truth.traced).map(|(identity, _)| identity.clone()).collect())
    }

    fn transcript_times(&self, peer: &Peer, running: Option<&Marked>) -> TranscriptTimes {
        let mut state = self.0.state();
        let truth = state.truth(&peer.identity);
        let turn_end = running.zip(truth.turn_end).map(|(turn, (at, position))| TurnEnd {
            at,
            position: Some(position),
            follows_prompt: truth.prompts.iter().any(|(id, place)| turn.id == Some(*id) && *place < position),
        });
        TranscriptTimes { last: truth.last, turn_end }
    }

    fn transcript_size(&self, path: &Path) -> u64 {
        let identity = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        identity.map_or(0, |identity| self.0.state().truth(&identity).records)
    }

    fn terminal_times(&self, identity: &Identity) -> Result<TerminalTimes, HostError> {
        self.0.point();
        if self.unknown(identity) {
            return Err(HostError::Silent);
        }
        let mut state = self.0.state();
        let now = state.now();
        let session = state.truth(identity).live().ok_or(HostError::Tmux(TmuxError::NoSession))?;
        let window = if session.turn.is_some() { now } else { session.last_move };
        Ok(TerminalTimes { window: Some(window), keystroke: None })
    }

    fn resumable(&self, peer: &Peer) -> Result<Option<String>, NothingToResume> {
        let mut state = self.0.state();
        if state.truth(&peer.identity).transcript.is_empty() { Err(NothingToResume::NoTranscript) } else { Ok(None) }
    }

    fn carries(&self, peer: &Peer, id: MessageId) -> bool {
        self.0.point();
        let mut state = self.0.state();
        let mono = state.mono;
        let truth = state.truth(&peer.identity);
        truth.transcript.contains(&id) && !truth.late.iter().any(|(until, late)| *late == id && *until > mono)
    }

    fn preflight(&self, _: &Peer) -> Result<(), Failure> {
        Ok(())
    }

    fn start(&self, launch: &Launch<'_>) -> Result<Processes, Failure> {
        self.0.point();
        let identity = &launch.peer.identity;
        let server = {
            let mut state = self.0.state();
            laws::at_start(&self.0, &mut state, identity);
            let (mono, now, serial) = (state.mono, state.now(), state.next_serial);
            state.next_serial += 1;
            let truth = state.truth(identity);
            let boot = truth.boots.pop_front().unwrap_or(Boot::Ready(500));
            truth.traced = true;
            if boot == Boot::NoStart {
                truth.failed_starts += 1;
                state.note(format!("{identity} does not start"));
                return Err(Failure::new(Exit::TryAgain, "the server did not start"));
            }
            let server = ProcessId { pid: serial, start: mono };
            let name = launch.env.iter().find(|(key, _)| key == "PEER_LAUNCH").map(|(_, value)| value.clone());
            truth.session = Some(Session {
                serial,
                server,
                alive: true,
                ready_at: if let Boot::Ready(ms) = boot { Some(mono + ms) } else { None },
                dies_at: if let Boot::Dies(ms) = boot { Some(mono + ms) } else { None },
                launch: name,
                composer: None,
                late_prompt: None,
                turn: None,
                tasks: Vec::new(),
                last_move: now,
            });
            state.note(format!("{identity} starts ({boot:?}) {:?}", launch.argv));
            server
        };
        self.0.point();
        Ok(Processes { server, pane: None, pane_id: None, unit: None })
    }

    fn await_ready(&self, launch: &Launch<'_>, patience: Duration) -> Result<(), NotReady> {
        let identity = &launch.peer.identity;
        let deadline = self.0.state().mono + patience.as_millis() as u64;
        loop {
            self.0.point();
            let (mono, ready_at) = {
                let mut state = self.0.state();
                let mono = state.mono;
                match state.truth(identity).live() {
                    None => return Err("the program ended while it was starting".to_owned().into()),
                    Some(session) => (mono, session.ready_at),
                }
            };
            if ready_at.is_some_and(|at| at <= mono) {
                if has_hooks(identity) {
                    let name = self.0.state().truth(identity).live().and_then(|session| session.launch.clone());
                    atomically(|| hook(&self.0, identity, name.as_deref(), Hook::Start, ""));
                }
                return Ok(());
            }
            if mono >= deadline {
                let mut state = self.0.state();
                let truth = state.truth(identity);
                if let Some(serial) = truth.live().map(|session| session.serial) {
                    truth.dead_serials.insert(serial);
                }
                return Err("not ready in time".to_owned().into());
            }
            let until = ready_at.unwrap_or(mono + 1000).min(mono + 1000).min(deadline);
            iapeer::base::Clock::sleep(self, Duration::from_millis(until - mono));
        }
    }

    fn deliver(&self, delivery: &Delivery<'_>) -> Landing {
        self.0.point();
        let identity = &delivery.peer.identity;
        let gone = || Landing::Held(Hold::Ended, "the session has ended".into());
        if self.unknown(identity) {
            return Landing::Held(Hold::Terminal, "tmux does not answer".into());
        }
        let fate = {
            let mut state = self.0.state();
            let mono = state.mono;
            let truth = state.truth(identity);
            let Some(session) = truth.live() else { return gone() };
            if session.ready_at.is_none_or(|at| at > mono) {
                return Landing::Held(Hold::Screen, "no composer on the screen".into());
            }
            let fate = truth.fates.pop_front();
            match fate {
                Some(Fate::Held) => return Landing::Held(Hold::Draft, "a draft stands in the composer".into()),
                Some(Fate::Failed) => return Landing::Failed("a dialog in the way".into()),
                _ => {}
            }
            let Ok(envelope) = Envelope::decode(last_envelope(delivery.text)) else {
                state.violate(format!("not an envelope: {}", delivery.text));
                return Landing::Failed("not an envelope".into());
            };
            if envelope.id != Some(delivery.id) {
                state.violate("the envelope's id is not the delivery's");
            }
            let typed = Typed {
                id: delivery.id,
                redelivered: envelope.redelivered.unwrap_or(0),
                from: envelope.from.identity().clone(),
                body: envelope.body,
            };
            state.note(format!("typed to {identity}: {} {fate:?} resumed={}", typed.id, delivery.resumed));
            if let Some(session) = state.truth(identity).live() {
                let stands = session.composer.as_ref().is_some_and(|there| there.id == typed.id);
                if !(delivery.resumed && stands) {
                    session.composer = Some(typed);
                }
            }
            fate
        };
        // Between the paste and the submit key. An agent waits for its hook before it takes the next prompt.
        self.0.point();
        while self.0.state().hook_is_out(identity) {
            iapeer::base::Clock::sleep(self, Duration::from_millis(1));
        }
        let unknown = || Landing::Unknown("no evidence".into());
        {
            let mut state = self.0.state();
            let Some(session) = state.truth(identity).live() else { return unknown() };
            if fate == Some(Fate::Stuck) {
                return unknown();
            }
            let typed = session.composer.take();
            match (fate, typed) {
                (Some(Fate::Lost), _) => return unknown(),
                (Some(Fate::DiesBefore), _) => {
                    state.truth(identity).die();
                    return unknown();
                }
                (_, Some(typed)) => self.took(delivery, &mut state, typed),
                // Another hand emptied the composer: nobody may type but the lock's holder.
                (_, None) => state.violate("the composer was emptied between paste and submit"),
            }
            if fate == Some(Fate::Late) {
                state.slow_hook = true;
                let until = state.mono + LATE;
                state.truth(identity).late.push((until, delivery.id));
                if let Some(session) = state.truth(identity).live() {
                    session.late_prompt = Some((until, delivery.text.to_owned()));
                    // The prompt is told of before the turn's end.
                    if let Some(turn) = session.turn.as_mut() {
                        turn.ends_at = turn.ends_at.max(until + 1);
                    }
                }
                return unknown();
            }
            if fate == Some(Fate::DiesAfter) {
                state.truth(identity).die();
                return unknown();
            }
        }
        if has_hooks(identity) {
            atomically(|| hook(&self.0, identity, delivery.launch, Hook::Prompt, delivery.text));
        }
        // Taken, and the evidence not read yet.
        self.0.point();
        Landing::Landed { by: Evidence::Transcript, forced: false }
    }

    fn is_busy(&self, peer: &Peer) -> bool {
        self.0.state().truth(&peer.identity).live().is_some_and(|session| session.turn.is_some())
    }

    fn interrupt(&self, _: &Peer, _: &[String]) -> Result<(), HostError> {
        Ok(())
    }

    fn compact(&self, _: &Peer, _: &str) -> Result<(), CompactError> {
        Ok(())
    }

    fn end(&self, identity: &Identity, server: Option<ProcessId>, _: Option<ProcessId>) -> Result<(), HostError> {
        self.0.point();
        {
            let mut state = self.0.state();
            laws::note_failed_boot(&self.0, &mut state, identity);
            if state.truth(identity).end_fails > 0 {
                state.truth(identity).end_fails -= 1;
                state.truth(identity).leftover = true;
                return Err(HostError::Remain(vec![1]));
            }
            let meant = |session: &mut Session| server.is_none_or(|server| server == session.server);
            if state.truth(identity).live().is_some_and(meant) {
                laws::at_end(&self.0, &mut state, identity);
                state.note(format!("{identity} is ended"));
                if let Some(session) = state.truth(identity).live() {
                    session.alive = false;
                    session.turn = None;
                }
            }
        }
        self.0.point();
        Ok(())
    }

    fn detach(&self, program: &str, arguments: &[&str]) -> Result<(), NotStarted> {
        self.0.point();
        let mut state = self.0.state();
        if state.detach_fails > 0 {
            state.detach_fails -= 1;
            let source = std::io::ErrorKind::WouldBlock.into();
            return Err(SpawnError::Refused { program: program.into(), source }.into());
        }
        super::program::detached(&mut state, program, arguments);
        Ok(())
    }

    fn managed_by(&self, _: &Identity) -> Option<Managed> {
        None
    }

    fn boot_id(&self) -> Option<String> {
        Some("boot".into())
    }
}

/// The message's own envelope, behind a seed.
fn last_envelope(text: &str) -> &str {
    text.rfind("<iap ").map_or(text, |at| &text[at..])
}
