//! The registry itself: one that can't be used, and peers that it does not name. Both are mended from the profiles.

use super::finding::Finding;
use crate::base::exit::{Exit, Failure};
use crate::base::shell;
use crate::roster::rebuild;
use crate::store::StoreError;
use crate::store::registry::{PeerRecord, RegistryError};
use crate::world::World;

/// The findings about a registry that can't be used.
pub(crate) fn unusable<'a>(world: &'a World<'a>, error: RegistryError) -> Vec<Finding<'a>> {
    // A path that is no file, or far too large, is set aside like a corrupt registry; another user's file is not.
    let mendable = match &error {
        RegistryError::Store(StoreError::Unfit(unfit)) => unfit.exit() == Exit::Config,
        RegistryError::Store(_) => false,
        RegistryError::Corrupt { .. } | RegistryError::Lost { .. } => true,
    };
    let Failure { exit, message } = Failure::from(error);
    let path = world.paths.registry().display().to_string();
    if !mendable {
        return vec![Finding::error("profile", exit, &path, message).todo(format!(
            "`ls -l {}` shows its mode and owner: you must be able to read it",
            shell::path(&world.paths.registry())
        ))];
    }
    let found = rebuild::recover(world);
    let fault = message.split(": `iapeer").next().unwrap_or_default();
    let fault = fault.strip_prefix(&format!("{path} ")).unwrap_or(fault);
    let known =
        if found.peers.is_empty() { "no peer was found".to_owned() } else { format!("found {}", found.names()) };
    let what = format!("{fault}: no message is accepted and no session started; {known}");
    let mut findings = vec![
        Finding::error("profile", exit, path, what)
            .todo("`iapeer doctor --fix` restores it from the peers' profiles, and keeps the old file aside")
            .mend(|| {
                rebuild::restore(world)?;
                Ok(())
            }),
    ];
    findings.extend(found.left.into_iter().map(|left| {
        let what = format!("is not added to the registry: {}", left.why);
        Finding::warn("profile", &left.personality, what).todo("`iapeer init DIR` with the right folder")
    }));
    findings
}

/// The findings about peers that have left files, and that a readable registry does not name.
pub(crate) fn unregistered<'a>(world: &'a World<'a>, records: Vec<PeerRecord>) -> Vec<Finding<'a>> {
    let finding = |record: PeerRecord| {
        let what = format!(
            "has its folder at {}, and the registry does not name it: no message reaches it",
            record.cwd.display()
        );
        Finding::warn("profile", &record.personality, what)
            .todo(format!("`iapeer init {}` registers it, or --fix does", shell::path(&record.cwd)))
            .mend(move || Ok(rebuild::register(world, record)?))
    };
    records.into_iter().map(finding).collect()
}
