//! Peers that wait for a person, each with what to do about it. They are reported at once, not only when messages have
//! waited for long.

use super::{Finding, replace, runtimes};
use crate::attention::report::{self, age};
use crate::base::{AttentionState, Identity, StateFile, paths};
use crate::store::attention::{self, Attention};
use crate::store::state_files::identities_with;
use crate::world::World;
use crate::world::peer::Peer;

/// One finding for each peer that waits for a person.
pub(crate) fn attention<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    let identities = match identities_with(world.paths, StateFile::Attention) {
        Ok(identities) => identities,
        Err(error) => return vec![Finding::unseen("attention", &error)],
    };
    let known = identities.into_iter().filter_map(|identity| {
        let now = attention::peek(world.paths, &identity)?;
        now.state.is_trouble().then_some((identity, now))
    });
    known
        .map(|(identity, now)| {
            let row = report::Row::of(&identity, &now);
            let about = row.tool.map_or(row.text.clone(), |tool| format!("{tool}: {}", row.text));
            let until = row.until.map(|at| format!(", until {at}")).unwrap_or_default();
            let about = if about.is_empty() { about } else { format!(" ({about})") };
            let what = format!("{} for {}{about}{until}", now.state, age(world.now(), now.since));
            Finding::warn("attention", &identity, what).todo(mend(world, &identity, &now))
        })
        .collect()
}

/// What to do about the wait of `identity`, with the commands.
fn mend(world: &World<'_>, identity: &Identity, now: &Attention) -> String {
    use AttentionState::*;
    let name = identity.personality();
    let id = now.id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
    match now.state {
        Approval | Question if !now.answers.is_empty() => {
            format!("`iapeer answer {name}{id} {}`, or `iapeer attach {name}`", now.answers.join("|"))
        }
        Limited => "it continues when the limit is over; its messages wait until then".to_owned(),
        Login => {
            let peer = Peer::of(world.paths, identity).ok();
            let log_in = peer.and_then(|peer| runtimes::login_command(world, &peer));
            let log_in = log_in.unwrap_or_else(|| "log in".to_owned());
            let verb = if now.launch.is_none() { "iapeer-wake" } else { "iapeer new" };
            format!("{log_in}, then `{verb} {name}`")
        }
        Failing => format!("the next message tries again; `iapeer peek {name}` shows the error"),
        Hung => format!(
            "`iapeer peek {name}` shows its screen; `iapeer interrupt {name}` or `iapeer new {name}` ends the turn"
        ),
        CrashLoop => crash_loop(world, identity),
        _ => format!("`iapeer attach {name}` and answer it there"),
    }
}

/// What to do about a peer that has died too often. If its program can't even print its version, that is the cause.
fn crash_loop(world: &World<'_>, identity: &Identity) -> String {
    let name = identity.personality();
    let report = format!("`iapeer-canary --report` says why it died; `iapeer new {name}` wakes it at once");
    let Ok(peer) = Peer::of(world.paths, identity) else { return report };
    if let Some(why) = replace::does_not_run(world, &peer) {
        let replace = replace::agent(world, &peer);
        return format!("its program does not run, {why}: {replace}; then `iapeer new {name}` wakes it at once");
    }
    let own = paths::launch_env_path(peer.cwd(), identity.runtime());
    match own.exists() {
        true => format!("{report}; its own variables and arguments are in {}", own.display()),
        false => report,
    }
}
