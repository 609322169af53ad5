//! Decides in which way messages go into a new session, and makes the command lines that this way needs.

use crate::base::DeliveryKind;
use crate::host::loopback;
use crate::runtime::Manifest;
use crate::runtime::manifest::FillError;
use crate::store::channel::HttpPlace;
use crate::world::peer::Peer;
use crate::world::{Beside, LaunchWay, World};
use std::collections::BTreeMap;

/// The first way that the manifest names or, where the profile of `peer` or its own arguments `extra` don't allow that
/// way, typing. The values that the way needs are added to `values`. The way's name is that of its group of arguments.
/// `program` is the program of the peer's runtime.
pub(crate) fn way(
    world: &World<'_>,
    peer: &Peer,
    program: &str,
    enabled: &[&str],
    values: &mut BTreeMap<String, String>,
    extra: &[String],
) -> Result<LaunchWay, FillError> {
    let manifest = &peer.manifest;
    let kind = manifest.delivery.first().copied().unwrap_or(DeliveryKind::Type);
    if kind == DeliveryKind::Type {
        return Ok(LaunchWay::Type);
    }
    if peer.policy().types() {
        return Ok(LaunchWay::TypeBecause("the profile says so".into()));
    }
    if let Some(word) = own_word(manifest, kind, extra) {
        return Ok(LaunchWay::TypeBecause(format!("the peer's argument {word:?} is in the way")));
    }
    match kind {
        DeliveryKind::AppServer => app_server(world, peer, program, enabled, values, extra),
        DeliveryKind::Http => Ok(http(values)),
        DeliveryKind::File => {
            for (name, path) in [
                ("command_file", world.paths.command_file(&peer.identity)),
                ("echo_file", world.paths.echo_file(&peer.identity)),
            ] {
                values.insert(name.into(), path.to_string_lossy().into_owned());
            }
            Ok(LaunchWay::File)
        }
        DeliveryKind::Type => Ok(LaunchWay::Type),
    }
}

/// The first of the peer's own arguments that the way's group of arguments contains too.
fn own_word<'a>(manifest: &Manifest, kind: DeliveryKind, extra: &'a [String]) -> Option<&'a str> {
    let group = manifest.groups.get(kind.as_str())?;
    let names = extra.iter().map(|word| word.split_once('=').map_or(word.as_str(), |(name, _)| name));
    names.into_iter().find(|name| name.starts_with('-') && group.iter().any(|word| word == name))
}

fn app_server(
    world: &World<'_>,
    peer: &Peer,
    program: &str,
    enabled: &[&str],
    values: &mut BTreeMap<String, String>,
    extra: &[String],
) -> Result<LaunchWay, FillError> {
    let manifest = &peer.manifest;
    let Some(rules) = manifest.app_server.as_ref() else { return Ok(LaunchWay::Type) };
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

/// The way http: a free port on which the program is to listen, and a new password. Where there is no port, typing.
fn http(values: &mut BTreeMap<String, String>) -> LaunchWay {
    let place = loopback::free_port().and_then(|port| {
        Ok(HttpPlace { port, password: loopback::secret()?, session: values.get("session").cloned() })
    });
    match place {
        Ok(place) => {
            values.insert("http_port".into(), place.port.to_string());
            values.insert("http_password".into(), place.password.clone());
            LaunchWay::Http(place)
        }
        Err(error) => LaunchWay::TypeBecause(format!("there is no port for its server: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_arguments_that_are_in_the_way_as_a_table() {
        let manifest: Manifest = serde_json::from_str(include_str!("../runtime/builtin/opencode.json")).unwrap();
        for (extra, word) in [
            (&[][..], None),
            (&["--model", "a/b"], None),
            (&["--port", "1"], Some("--port")),
            (&["-x", "--port=1"], Some("--port")),
            (&["127.0.0.1"], None),
        ] {
            let extra: Vec<String> = extra.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(own_word(&manifest, DeliveryKind::Http, &extra), word, "{extra:?}");
        }
    }
}
