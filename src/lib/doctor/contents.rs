//! State files whose content can't be parsed: the next program that reads such a file sets it aside and continues without
//! its content.

use super::finding::{Finding, moved};
use super::fleet;
use crate::store::durable;
use crate::store::launch_defaults::LaunchDefaults;
use crate::store::markers::Intent;
use crate::store::queue;
use crate::store::session_record::SessionRecord;
use crate::world::World;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// One finding for each such file. Only files are checked whose content exists nowhere else.
pub(crate) fn contents<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    let state = world.paths.state_dir();
    let mut found = Vec::new();
    for name in names_in(&state) {
        let path = state.join(&name);
        match name.split_once('.').map(|(_, kind)| kind) {
            Some("session" | "session.reaping") => found.extend(fault::<SessionRecord>(&path)),
            Some("teardown") => found.extend(fault::<Intent>(&path)),
            Some("queue") => {
                for place in [path.clone(), path.join("inflight")] {
                    found.extend(items(&place));
                }
            }
            _ => {}
        }
    }
    let notices = world.paths.notices_dir();
    found.extend(names_in(&notices).filter_map(|name| fault::<queue::Item>(&notices.join(name))));
    found.sort();
    let finding = |(path, why): (PathBuf, String)| {
        let what = format!("can't be understood ({why}): the next program that reads it sets it aside");
        let about = path.display().to_string();
        let reader = path.parent() != Some(&state);
        let owner = path.strip_prefix(&state).ok().and_then(|below| below.to_str()?.split('.').next()?.parse().ok());
        match owner {
            Some(identity) if !reader => Finding::warn("files", about, what)
                .todo("`iapeer-superviser` sets it aside and enrols a live session, or --fix does")
                .mend(move || fleet::settle(world, &identity)),
            Some(identity) => Finding::warn("files", about, what)
                .todo(format!("correct it, or `iapeer-drain {identity}` moves it into corrupt/")),
            None => {
                Finding::warn("files", about, what).todo("correct it, or move it away; `iapeer-superviser` reads it")
            }
        }
    };
    let mut findings: Vec<Finding<'a>> = found.into_iter().map(finding).collect();
    if let Err(failure) = LaunchDefaults::read(world.paths) {
        let path = world.paths.launch_defaults();
        findings.push(
            Finding::error(
                "files",
                failure.exit,
                path.display(),
                format!("{failure}: no session is started until then"),
            )
            .todo(format!("correct it, or {} to use the default", moved(&path, "bad"))),
        );
    }
    findings
}

/// The names in a folder. Empty for a folder that can't be listed, which has a finding of its own.
fn names_in(dir: &Path) -> impl Iterator<Item = String> {
    durable::names_of(dir).unwrap_or_default().into_iter()
}

fn items(place: &Path) -> Vec<(PathBuf, String)> {
    let is_item = |name: &String| name.len() >= 6 && name.bytes().all(|byte| byte.is_ascii_digit());
    names_in(place).filter(is_item).filter_map(|name| fault::<queue::Item>(&place.join(name))).collect()
}

/// What is wrong with a file's content. A path that is no file, or can't be read, has a finding of its own.
fn fault<T: DeserializeOwned>(path: &Path) -> Option<(PathBuf, String)> {
    let bytes = durable::read_optional(path).ok()??;
    serde_json::from_slice::<T>(&bytes).err().map(|error| (path.to_owned(), error.to_string()))
}
