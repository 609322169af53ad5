//! The verbs of `iapeer` about peers that need a person: list, attention, answer, peek.

use crate::attention::{answer as answering, report, tell};
use crate::base::clock::EpochMs;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::{AttentionState, output};
use crate::cli;
use crate::cli::args::Colour;
use crate::cli::hosts;
use crate::host::dir_watch::DirWatch;
use crate::operator::{hosts as operator_hosts, list as listing, table};
use crate::store::registry::Registry;
use crate::world::World;
use crate::world::peer::Peer;
use serde_json::json;
use std::io::IsTerminal;
use std::time::Duration;

/// How long `attention -f` waits at most before it reads changed screens again.
const FOLLOW: Duration = Duration::from_secs(2);

fn usage(message: String) -> Failure {
    Failure::new(Exit::Usage, message)
}

/// `iapeer list`.
pub(crate) fn list(
    world: &World<'_>,
    state: Option<&str>,
    trouble: bool,
    colour: Colour,
    json: bool,
) -> Result<Exit, Failure> {
    let wanted = state
        .map(|word| {
            let all = || AttentionState::ALL.map(AttentionState::as_str).join(", ");
            AttentionState::named(word).ok_or_else(|| usage(format!("{word:?} is no state: {}", all())))
        })
        .transpose()?;
    let registry = Registry::read(world.paths)?;
    let mut peers = listing::peers_of(world, &registry)?;
    let none = peers.is_empty();
    peers.retain(|peer| wanted.is_none_or(|state| peer.state == state) && (!trouble || peer.state.is_trouble()));
    if json {
        let lines: Vec<String> = peers.iter().map(|peer| cli::told(true, peer, String::new)).collect();
        output::say_all(&lines);
        return Ok(Exit::Ok);
    }
    if none {
        cli::say("no peers registered: `iapeer create NAME` makes one");
        return Ok(Exit::Ok);
    }
    table::sort(&mut peers);
    let paint = paint(colour);
    output::say_all(&table::lines(&peers, world.now(), paint));
    if std::io::stdout().is_terminal() {
        output::say_all(&table::legend(&peers));
    }
    // An error is ignored: a host that knows no other hosts needs no valid name of its own.
    let rows = operator_hosts::rows(world).unwrap_or_default();
    rows.iter().filter_map(hosts::waiting_line).for_each(cli::say);
    for note in listing::drifts(world, &registry) {
        output::complain(&format!("note: {note}"));
    }
    Ok(Exit::Ok)
}

/// `iapeer attention`: exit code 1 if a peer waits for a person.
pub(crate) fn attention(
    world: &World<'_>,
    follow: bool,
    colour: Colour,
    json: bool,
    tell: Option<&str>,
) -> Result<Exit, Failure> {
    if let Some(identity) = tell {
        let identity: Identity = identity.parse().map_err(|error| usage(format!("{error}")))?;
        tell::wait_and_tell(world, &identity)?;
        return Ok(Exit::Ok);
    }
    let mut before: Vec<report::Row> = Vec::new();
    let watch = follow.then(|| DirWatch::on(&world.paths.state_dir())).transpose();
    let watch = watch.map_err(|error| Failure::io("watch", &world.paths.state_dir(), &error))?;
    loop {
        let now = report::rows(world)?;
        for row in now.iter().filter(|row| !before.contains(row)) {
            match (json, paint(colour)) {
                (false, table::Paint::Colour) => cli::say(coloured(row, world.now())),
                _ => cli::tell(json, row, || row.line(world.now())),
            }
        }
        let Some(watch) = &watch else {
            return Ok(if now.is_empty() { Exit::Ok } else { Exit::Found });
        };
        let same = |a: &report::Row, b: &report::Row| a.identity == b.identity && a.state == b.state && a.id == b.id;
        for over in before.iter().filter(|row| !now.iter().any(|still| same(still, row))) {
            let at = world.now().utc_seconds();
            let gone =
                json!({"peer": over.peer, "identity": over.identity, "state": null, "was": over.state, "at": at});
            cli::tell(json, &gone, || format!("       {}  no longer {}", over.peer, over.state));
        }
        before = now;
        if !output::is_heard() {
            return Ok(Exit::Ok);
        }
        watch.wait(None, FOLLOW).map_err(|error| Failure::new(Exit::Io, format!("cannot wait: {error}")))?;
    }
}

/// `iapeer answer PEER [ID] ANSWER`.
pub(crate) fn answer(
    world: &World<'_>,
    peer: &str,
    words: &[String],
    message: Option<&str>,
    json: bool,
) -> Result<Exit, Failure> {
    let peer = Peer::named(world.paths, peer, None)?;
    let (id, word) = match words {
        [word] => (None, word),
        [id, word] => (Some(id.as_str()), word),
        _ => return Err(usage("give one answer, or a request's name and an answer".to_owned())),
    };
    let told = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let by = told("PEER_IDENTITY").or_else(|| told("USER")).unwrap_or_else(|| format!("uid {}", nix::unistd::getuid()));
    let answered = answering::answer(world, &peer, id, word, message, &by)?;
    cli::tell(json, &answered, || answered.line());
    Ok(Exit::Ok)
}

/// `iapeer peek PEER`.
pub(crate) fn peek(world: &World<'_>, peer: &str, lines: Option<usize>, json: bool) -> Result<Exit, Failure> {
    let peer = Peer::named(world.paths, peer, None)?;
    let view = world
        .host
        .view(&peer)
        .map_err(|why| Failure::new(Exit::Refused, format!("{} has no screen to show: {why}", peer.identity)))?;
    let rows: Vec<String> = view.screen.rows().iter().map(|row| harmless(row)).collect();
    let end = rows.iter().rposition(|row| !row.is_empty()).map_or(0, |at| at + 1);
    let solid: Vec<&String> = match lines {
        Some(_) => rows[..end].iter().filter(|row| !row.is_empty()).collect(),
        None => rows[..end].iter().collect(),
    };
    let from = lines.map_or(0, |lines| solid.len().saturating_sub(lines));
    if json {
        cli::tell(true, &serde_json::json!({"identity": peer.identity, "rows": &solid[from..]}), String::new);
    } else {
        solid[from..].iter().for_each(cli::say);
    }
    Ok(Exit::Ok)
}

/// A row without anything that could steer the reader's terminal.
fn harmless(row: &str) -> String {
    row.chars().map(|c| if c.is_control() { '·' } else { c }).collect::<String>().trim_end().to_owned()
}

/// A row's line with its state in colour.
fn coloured(row: &report::Row, now: EpochMs) -> String {
    let word = row.state.to_string();
    harmless(&row.line(now)).replacen(&word, &table::painted(&word, Some(row.state), table::Paint::Colour), 1)
}

/// Whether to color, by the option and the terminal.
pub(crate) fn paint(colour: Colour) -> table::Paint {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match colour {
        Colour::Always => table::Paint::Colour,
        Colour::Auto if !no_colour && std::io::stdout().is_terminal() => table::Paint::Colour,
        Colour::Auto | Colour::Never => table::Paint::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_steers_no_terminal() {
        assert_eq!(harmless("a\u{1b}[2J\u{9b}b  "), "a·[2J·b");
    }
}
