//! `iapeer host`, and what `iapeer-relay` prints.

use crate::base::HostName;
use crate::base::exit::{Exit, Failure};
use crate::base::output;
use crate::cli;
use crate::cli::host_args::HostAct;
use crate::delivery::afar;
use crate::host::program::become_program;
use crate::operator::hosts::{self as seen, HostRow};
use crate::session::launch;
use crate::store::hosts::{self, HostFile, SshHost};
use crate::world::World;
use std::ffi::OsString;

/// `iapeer host`.
pub(crate) fn run(world: &World<'_>, act: HostAct) -> Result<Exit, Failure> {
    match act {
        HostAct::Add { host, destination, nats, root, program, keep, fetch, options, json } => {
            if host == hosts::own_name(world.paths)? {
                let path = world.paths.hostname();
                let why = format!("this host is called {host} itself: {} says how", path.display());
                return Err(Failure::new(Exit::Usage, why));
            }
            if !keep.is_zero() {
                world.paths.kept_connection().map_err(|why| Failure::new(Exit::Config, why))?;
            }
            let ssh = SshHost {
                destination,
                options,
                root,
                program,
                keep_secs: keep.as_secs().try_into().unwrap_or(u32::MAX),
                fetch,
            };
            let file = if nats { HostFile::Nats } else { HostFile::Ssh(ssh) };
            afar::register(world, &host, &file)?;
            let value = serde_json::json!({"host": host, "transport": file.transport()});
            cli::tell(json, &value, || format!("{host} is known: `iapeer host test {host}` tries it"));
        }
        HostAct::List { json } => {
            let rows = seen::rows(world)?;
            if json {
                rows.iter().for_each(|row| cli::tell(true, row, String::new));
            } else {
                output::say_all(&seen::table(&rows));
            }
        }
        HostAct::Remove { host, force, json } => {
            let lost = afar::forget(world, &host, force)?;
            let letters = if lost > 0 { format!("; {lost} messages became dead letters") } else { String::new() };
            let value = serde_json::json!({"host": host, "dead": lost});
            cli::tell(json, &value, || format!("{host} is known no more{letters}"));
        }
        HostAct::Test { host, wait, json } => {
            let probed = afar::probe(world, &host, wait)?;
            cli::tell(json, &probed, || format!("{host} answers by {} in {} ms", probed.transport, probed.ms));
        }
    }
    Ok(Exit::Ok)
}

/// `iapeer list --hosts`: becomes `iapeer-relay peers`, since this program links no code for networks.
pub(crate) fn list(json: bool) -> Result<Exit, Failure> {
    let program = launch::bin_dir().join("iapeer-relay");
    let words: Vec<OsString> = std::iter::once("peers").chain(json.then_some("--json")).map(OsString::from).collect();
    let error = become_program(&program, &words);
    Err(Failure::new(Exit::Internal, format!("cannot run {}: {error}", program.display())))
}

/// The hosts that `given` names, or else all that `is_wanted`.
pub fn chosen(
    world: &World<'_>,
    given: Vec<HostName>,
    is_wanted: impl Fn(&HostFile) -> bool,
) -> Result<Vec<HostName>, Failure> {
    if !given.is_empty() {
        return Ok(given);
    }
    let known = hosts::known_hosts(world.paths)?;
    let wanted = |host: &HostName| match HostFile::read(world.paths, host) {
        Ok(file) => file.is_some_and(|file| is_wanted(&file)),
        // The caller reads the file again and reports the error.
        Err(_) => true,
    };
    Ok(known.into_iter().filter(wanted).collect())
}

/// A line for `iapeer list` about a host that can't be reached, if messages wait for it.
pub(crate) fn waiting_line(row: &HostRow) -> Option<String> {
    let away = row.away.as_ref().filter(|_| row.waiting > 0)?;
    let why = crate::base::exit::one_line(&away.why);
    Some(format!("{} waiting for {}, which is away since {}: {why}", row.waiting, row.host, away.since.local()))
}
