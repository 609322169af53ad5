//! Handing over by ssh the messages that wait for a host. One connection carries all of them, and then the messages
//! that wait on the other host for this one.

use crate::base::HostName;
use crate::base::clock::Deadline;
use crate::base::exit::{Exit, Failure};
use crate::base::span::said;
use crate::host::ssh::{Pipes, Ssh};
use crate::mailbox::afar;
use crate::relay::error::RelayError;
use crate::relay::give::Giver;
use crate::relay::take::Taker;
use crate::relay::talk::{self, Talk};
use crate::relay::wire::{Hello, PROTOCOL, PeerThere, WireLine};
use crate::store::hosts::{self, HostFile, SshHost};
use crate::store::lock::FileLock;
use crate::store::outbox::{Away, Outbox};
use crate::store::queue::Place;
use crate::world::World;
use serde::Serialize;
use std::process::ChildStdin;
use std::time::Duration;

/// How long the other host may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// Up to this pause the program itself waits for the next try; later tries are started by the tick.
const OWN_PAUSE: Duration = Duration::from_secs(32);
/// How long the connection to a host that can't connect to this one is kept open for receipts.
const LINGER: Duration = Duration::from_secs(60);
/// The shortest and the longest pause between two requests for receipts on that connection.
const ASK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The result of one push.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// The host.
    pub host: String,
    /// How many messages and receipts that host has accepted.
    pub given: usize,
    /// How many messages and receipts this host has accepted from the other.
    pub taken: usize,
    /// The program that is already handing over to the host: `pid N (program)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy: Option<String>,
}

impl Pushed {
    /// One line for people.
    pub fn line(&self) -> String {
        match &self.busy {
            Some(holder) => format!("{}: {holder} hands over already", self.host),
            None => format!("{}: {} handed over, {} taken over", self.host, self.given, self.taken),
        }
    }
}

/// Who asks for a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A person: the push is tried once, at once, even if nothing waits.
    Now,
    /// A program: the push is tried when a try is due, and again until it succeeds or the pauses get long.
    WhenDue,
}

/// Pushes to `host`, and takes the messages that wait there for this host.
pub fn push(world: &World<'_>, host: &HostName, asked: Asked) -> Result<Pushed, Failure> {
    let mut ssh = way(world, host)?;
    crate::base::paths::create_dirs(&world.paths.outbox_dir())?;
    let outbox = world.outbox(host);
    let mut pushed = Pushed { host: host.to_string(), ..Pushed::default() };
    loop {
        match FileLock::acquire(&outbox.lock(), world.program, Duration::ZERO, world.clock) {
            Err(crate::store::lock::LockError::Held { holder, .. }) => {
                return Ok(Pushed { busy: Some(holder), ..pushed });
            }
            Err(error) => return Err(error.into()),
            Ok(lock) => {
                let tried = try_once(world, &outbox, &ssh, asked, &mut pushed);
                drop(lock);
                if let Err(error) = tried {
                    let away = outbox.note_away(world.now(), &error.to_string());
                    let pause = Away::pause(away.tries);
                    if asked == Asked::Now || pause > OWN_PAUSE {
                        return Err(error.into());
                    }
                    tracing::info!("{host}: {error}; again in {}", said(pause));
                    world.clock.sleep(pause);
                    // The destination may have been corrected meanwhile.
                    ssh = way(world, host)?;
                    continue;
                }
            }
        }
        // A program that found the lock taken left its message to this program.
        if asked == Asked::Now || !outbox.is_due(world.now()) || !has_waiting(&outbox)? {
            return Ok(pushed);
        }
    }
}

/// How `host` is reached by ssh. An error where it is unknown, or reached by NATS.
fn way(world: &World<'_>, host: &HostName) -> Result<SshHost, Failure> {
    match HostFile::known(world.paths, host)? {
        HostFile::Ssh(ssh) => Ok(ssh),
        HostFile::Nats => {
            let why = format!("{host} is reached by NATS: `iapeer-relay run` hands over all the time");
            Err(Failure::new(Exit::Refused, why))
        }
    }
}

fn has_waiting(outbox: &Outbox) -> Result<bool, Failure> {
    Ok(!outbox.queue.list(Place::Waiting)?.is_empty())
}

fn try_once(
    world: &World<'_>,
    outbox: &Outbox,
    ssh: &SshHost,
    asked: Asked,
    pushed: &mut Pushed,
) -> Result<(), RelayError> {
    afar::tend(world, outbox)?;
    if asked == Asked::WhenDue && (!outbox.is_due(world.now()) || !(has_waiting(outbox)? || ssh.fetch)) {
        return Ok(());
    }
    converse(world, &outbox.host, ssh, |talk, hello| {
        let mut taker = Taker::of(world, &outbox.host)?;
        let mut pause = ASK.0;
        let deadline = Deadline::after(world.clock, LINGER);
        loop {
            let mut giver = Giver::new(world, outbox, talk);
            let given = giver.give();
            pushed.given += giver.given;
            if giver.given > 0 {
                outbox.note_back();
            }
            given?;
            let before = taker.accepted;
            let turned = their_turn(talk, &mut taker);
            taker.start_drains();
            pushed.taken += taker.accepted - before;
            turned?;
            outbox.note_back();
            let awaits = || Ok::<_, Failure>(!outbox.queue.list(Place::Inflight)?.is_empty());
            if hello.calls || deadline.passed(world.clock) || !awaits()? {
                return Ok(());
            }
            world.clock.sleep(pause);
            pause = (pause * 2).min(ASK.1);
        }
    })
}

/// Takes the messages that the other host gives, until that host says that these are all.
fn their_turn(talk: &mut Talk<ChildStdin>, taker: &mut Taker<'_>) -> Result<(), RelayError> {
    talk.say(&WireLine::Done)?;
    loop {
        match talk.expect()? {
            WireLine::Part(part) => taker.part(&part),
            WireLine::Message(parcel) => {
                let ack = taker.message(*parcel);
                talk.say(&WireLine::Ack(ack))?;
            }
            WireLine::Done => return Ok(()),
            _ => return Err(RelayError::Refused("it said something that was not expected now".into())),
        }
    }
}

/// Asks `host` by ssh for its peers.
pub(crate) fn peers(world: &World<'_>, host: &HostName, ssh: &SshHost) -> Result<Vec<PeerThere>, Failure> {
    let asked = converse(world, host, ssh, |talk, _| {
        talk.say(&WireLine::AskPeers)?;
        match talk.expect()? {
            WireLine::Peers(peers) => Ok(peers),
            _ => Err(RelayError::Refused("it does not say who is there".into())),
        }
    });
    Ok(asked?)
}

/// Connects to `host`, agrees on a version, and calls `speak`.
fn converse<T>(
    world: &World<'_>,
    host: &HostName,
    ssh: &SshHost,
    speak: impl FnOnce(&mut Talk<ChildStdin>, &Hello) -> Result<T, RelayError>,
) -> Result<T, RelayError> {
    let own = hosts::own_name(world.paths)?;
    let arguments = arguments(world, host, ssh, &own)?;
    let (running, Pipes { stdin, stdout }) =
        Ssh::start(&arguments).map_err(|error| RelayError::Away(format!("cannot start ssh: {error}")))?;
    let mut talk = Talk::new(stdout, stdin, SILENCE);
    let said = (|| {
        let hello = talk.greeted()?;
        hello.common(PROTOCOL).map_err(RelayError::Refused)?;
        if hello.host != *host {
            let why = format!("{} answers there, not {host}: hosts/{host}.json or its `hostname` is wrong", hello.host);
            return Err(RelayError::Refused(why));
        }
        talk.say(&WireLine::Hello(talk::own_hello(world, &HostFile::Ssh(ssh.clone()))?))?;
        speak(&mut talk, &hello)
    })();
    // Closing the pipe ends the program on the other host, and thus ssh.
    drop(talk);
    let complaint = running.end();
    said.map_err(|error| match error {
        RelayError::Away(why) if !complaint.is_empty() => RelayError::Away(format!("{why} ({complaint})")),
        error => error,
    })
}

/// The arguments for ssh.
fn arguments(world: &World<'_>, host: &HostName, ssh: &SshHost, own: &HostName) -> Result<Vec<String>, RelayError> {
    let Some(destination) = &ssh.destination else {
        return Err(RelayError::Refused(format!("{host} has no ssh destination: it has to call this host")));
    };
    let mut words: Vec<String> = ["-T", "-o", "BatchMode=yes"].map(str::to_owned).to_vec();
    for option in ["ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3"] {
        words.extend(["-o".into(), option.into()]);
    }
    if ssh.keep_secs > 0 {
        match world.paths.kept_connection() {
            Ok(path) => {
                let kept = format!("ControlPersist={}", ssh.keep_secs);
                for option in ["ControlMaster=auto".into(), format!("ControlPath={}", path.display()), kept] {
                    words.extend(["-o".into(), option]);
                }
            }
            // Without a kept connection: with a path that is too long ssh would not connect at all.
            Err(why) => tracing::warn!("{host}: {why}"),
        }
    }
    words.extend(ssh.options.iter().cloned());
    words.extend(["--".into(), destination.clone(), remote_command(ssh, own)]);
    Ok(words)
}

/// The command that runs on the other host: a POSIX shell script, quoted for any login shell. A forced command in the
/// other host's `authorized_keys` replaces it.
fn remote_command(ssh: &SshHost, own: &HostName) -> String {
    let root = ssh.root.iter().map(|root| format!("IAPEER_ROOT={} ", quoted(&root.to_string_lossy())));
    let root: String = root.collect();
    let program = ssh.program.as_ref().map_or_else(|| "iapeer-relay".into(), |path| quoted(&path.to_string_lossy()));
    let script = format!("PATH=\"$HOME/.local/bin:/usr/local/bin:$PATH\" {root}exec {program} receive --host {own}");
    format!("exec /bin/sh -c {}", quoted(&script))
}

/// `text` in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_there_survives_every_shell() {
        let own: HostName = "laptop".parse().unwrap();
        assert_eq!(
            remote_command(&SshHost::default(), &own),
            "exec /bin/sh -c 'PATH=\"$HOME/.local/bin:/usr/local/bin:$PATH\" exec iapeer-relay receive --host laptop'"
        );
        let odd =
            SshHost { root: Some("/a b/it's".into()), program: Some("/x y/iapeer-relay".into()), ..SshHost::default() };
        let command = remote_command(&odd, &own);
        assert!(command.contains("IAPEER_ROOT='\\''/a b/it'\\''\\'\\'''\\''s'\\''"), "{command}");
    }
}
