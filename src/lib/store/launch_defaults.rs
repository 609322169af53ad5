//! The defaults for launches of peers whose profile does not say otherwise: `<root>/launch-defaults.json`, an object
//! with the keys `native_memory`, `memory_plugin` and `enable` of a profile.

use crate::base::exit::{Exit, Failure};
use crate::base::paths::Paths;
use crate::store::durable;
use crate::store::one_writer::OneWriter;
use crate::store::open::{self, Rule, without_bom};
use crate::store::policy::Policy;
use serde_json::{Map, Value};

/// The content of the file. A missing file sets nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LaunchDefaults(Map<String, Value>);

impl LaunchDefaults {
    /// Reads the file. A file that is not a JSON object is an error that names it, since sessions are started by these
    /// settings.
    pub(crate) fn read(paths: &Paths) -> Result<LaunchDefaults, Failure> {
        let path = paths.launch_defaults();
        let Some(bytes) = open::read(&path, Rule::DOCUMENT)? else { return Ok(LaunchDefaults::default()) };
        serde_json::from_slice(without_bom(&bytes)).map(LaunchDefaults).map_err(|error| {
            Failure::new(Exit::Config, format!("{} is no JSON object: {error}; correct it", path.display()))
        })
    }

    /// The settings, in the form of a profile.
    pub(crate) fn policy(&self) -> Policy<'_> {
        Policy(&self.0)
    }

    /// Sets one key, or removes it where `value` is `null`.
    pub(crate) fn set(_: &OneWriter, paths: &Paths, key: &str, value: Value) -> Result<(), Failure> {
        let mut all = LaunchDefaults::read(paths)?;
        match value {
            Value::Null => drop(all.0.shift_remove(key)),
            value => drop(all.0.insert(key.into(), value)),
        }
        let mut text = serde_json::to_vec_pretty(&all.0)
            .map_err(|error| Failure::new(Exit::Internal, format!("cannot write the launch defaults: {error}")))?;
        text.push(b'\n');
        Ok(durable::write_atomic(&paths.launch_defaults(), &text)?)
    }
}
