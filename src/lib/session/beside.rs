//! By which way messages are to go into a new session, and the command lines of an app-server beside it.

use crate::base::DeliveryKind;
use crate::runtime::manifest::FillError;
use crate::world::peer::Peer;
use crate::world::{Beside, LaunchWay, World};
use std::collections::BTreeMap;

/// The best way that `peer` and its own arguments `extra` allow. `program` is the program of its runtime.
pub(crate) fn way(
    world: &World<'_>,
    peer: &Peer,
    program: &str,
    enabled: &[&str],
    values: &mut BTreeMap<String, String>,
    extra: &[String],
) -> Result<LaunchWay, FillError> {
    let manifest = &peer.manifest;
    let offers = manifest.delivery.first() == Some(&DeliveryKind::AppServer);
    let Some(rules) = manifest.app_server.as_ref().filter(|_| offers) else { return Ok(LaunchWay::Type) };
    if peer.policy().types() {
        return Ok(LaunchWay::TypeBecause("the profile says so".into()));
    }
    if let Some(word) = rules.refuses(extra) {
        return Ok(LaunchWay::TypeBecause(format!("the app-server does not take the peer's argument {word:?}")));
    }
    let socket = world.paths.app_socket(&peer.identity);
    values.insert("app_socket".into(), socket.to_string_lossy().into_owned());
    let program = || vec![program.to_owned()];
    let mut server = program();
    server.extend(manifest.spliced(&rules.argv, &rules.groups, enabled, values, Some(extra))?);
    let mut attached = program();
    attached.extend(manifest.spliced(&rules.attach, &BTreeMap::new(), enabled, values, None)?);
    Ok(LaunchWay::AppServer(Beside { server, attached, socket }))
}
