//! The arguments of a program, made of what its manifest says.

use crate::runtime::fill::{FillError, fill};
use crate::runtime::manifest::Manifest;
use std::collections::BTreeMap;

impl Manifest {
    /// The argument vector: groups in `enabled` are spliced in, `{name}` filled from `values`. The caller's extra
    /// arguments take the place of `{@extra}`, or the end.
    pub fn arguments(
        &self,
        enabled: &[&str],
        values: &BTreeMap<String, String>,
        extra: &[String],
    ) -> Result<Vec<String>, FillError> {
        self.spliced(&self.argv, &BTreeMap::new(), enabled, values, Some(extra))
    }

    /// [`Manifest::arguments`] of another command line `argv`, with groups `own` that replace the manifest's of their
    /// names. Without `extra` the command line takes none of the caller's arguments.
    pub(crate) fn spliced(
        &self,
        argv: &[String],
        own: &BTreeMap<String, Vec<String>>,
        enabled: &[&str],
        values: &BTreeMap<String, String>,
        extra: Option<&[String]>,
    ) -> Result<Vec<String>, FillError> {
        let mut out = Vec::new();
        let mut left = extra.unwrap_or_default();
        for word in argv {
            match word.strip_prefix("{@").and_then(|rest| rest.strip_suffix('}')) {
                Some("extra") => {
                    out.extend_from_slice(std::mem::take(&mut left));
                }
                Some(group) if enabled.contains(&group) => {
                    let group = own.get(group).or_else(|| self.groups.get(group));
                    for word in group.map(Vec::as_slice).unwrap_or_default() {
                        out.push(fill(word, values)?);
                    }
                }
                Some(_) => {}
                None => out.push(fill(word, values)?),
            }
        }
        out.extend_from_slice(left);
        Ok(out)
    }
}
