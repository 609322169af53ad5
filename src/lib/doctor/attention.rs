//! Peers that wait for a person, each with what to do about it: reported at once, and not only when many messages wait.

use super::Finding;
use crate::attention::report::{self, age};
use crate::base::{AttentionState, StateFile};
use crate::store::attention::{self, Attention};
use crate::store::state_files::identities_with;
use crate::world::World;

/// One finding for each.
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
            let what = format!("{} for {} ({about}){until}", now.state, age(world.now(), now.since));
            Finding::warn("attention", &identity, what).todo(mend(&identity, &now))
        })
        .collect()
}

/// The command that mends it.
fn mend(identity: &crate::base::Identity, now: &Attention) -> String {
    use AttentionState::*;
    let name = identity.personality();
    let id = now.id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
    match now.state {
        Approval | Question if !now.answers.is_empty() => {
            format!("`iapeer answer {name}{id} {}`, or `iapeer attach {name}`", now.answers.join("|"))
        }
        Limited => "it continues when the limit is over; its messages wait until then".to_owned(),
        Login if now.launch.is_none() => format!("log in, then `iapeer-wake {name}`"),
        Login => format!("log in, then `iapeer new {name}`"),
        Failing => format!("the next message tries again; `iapeer peek {name}` shows the error"),
        Hung => format!(
            "`iapeer peek {name}` shows its screen; `iapeer interrupt {name}` or `iapeer new {name}` ends the turn"
        ),
        CrashLoop => format!("`iapeer-canary --report` says why it died; `iapeer new {name}` wakes it at once"),
        _ => format!("`iapeer attach {name}` and answer it there"),
    }
}
