//! iapeer-relay: transfer messages to and from other hosts.
//!
//! `push` connects to a host by ssh, sends each message of that host's outbox and waits for its acknowledgement, then
//! receives the messages that wait on the other host. `receive` is the other end of the connection: it stores each message
//! durably before it acknowledges the message, and accepts each message once. `run` does both through a NATS server, until
//! it is killed.
//!
//! Exit: 0 · 64 usage · 67 no such host · 69 refused by the other host · 74 I/O · 75 the host can't be reached,
//! messages keep waiting · 77 permission · 78 configuration. With several hosts it is the worst code.

use iapeer::base::{Exit, Failure, HostName, output};
use iapeer::cli::host_args::{Relay, RelayAct};
use iapeer::cli::{self, Access, hosts};
use iapeer::relay::{self, nats, push, receive};
use iapeer::store::hosts::HostFile;
use iapeer::world::World;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main_without_actions("iapeer-relay", |_| Access::Write, act)
}

fn act(given: Relay, world: &World<'_>) -> Result<Exit, Failure> {
    match given.act {
        RelayAct::Push { hosts: given, due, json } => {
            let asked = if due { push::Asked::WhenDue } else { push::Asked::Now };
            let can_be_called = |file: &HostFile| matches!(file, HostFile::Ssh(ssh) if ssh.destination.is_some());
            let hosts = hosts::chosen(world, given, can_be_called)?;
            Ok(each(world, &hosts, |host| {
                let pushed = push::push(world, host, asked)?;
                cli::tell(json, &pushed, || pushed.line());
                Ok(())
            }))
        }
        RelayAct::Run => nats::run(world, |line| cli::say(line)),
        RelayAct::Receive { host } => receive::receive(world, &host, std::io::stdin(), std::io::stdout()),
        RelayAct::Peers { hosts: given, json } => {
            let hosts = hosts::chosen(world, given, |_| true)?;
            Ok(each(world, &hosts, |host| {
                for peer in relay::peers(world, host)? {
                    cli::tell(json, &peer, || peer.line());
                }
                Ok(())
            }))
        }
    }
}

/// Does `act` for all `hosts` at once, so that a host that does not answer delays no other. Returns the worst code.
fn each(world: &World<'_>, hosts: &[HostName], act: impl Fn(&HostName) -> Result<(), Failure> + Sync) -> Exit {
    let one = |host: &HostName| {
        act(host).err().map_or(Exit::Ok, |failure| {
            output::complain(&format!("{}: {host}: {failure}", world.program));
            failure.exit
        })
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = hosts.iter().map(|host| scope.spawn(|| one(host))).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or(Exit::Internal)).max().unwrap_or(Exit::Ok)
    })
}
