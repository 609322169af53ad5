//! The facts that systemd and the journal have recorded about a unit whose program has ended. An incomplete answer is
//! evidence too, so no function here returns an error.

use crate::host::command::ask;
use std::time::Duration;

/// The `Key=value` lines of these properties of `unit`; empty where nobody answers within `limit`.
pub(crate) fn properties(unit: &str, properties: &[&str], limit: Duration) -> String {
    let mut words = vec!["--user", "show", unit];
    words.extend(properties.iter().flat_map(|property| ["-p", property]));
    ask("systemctl", &words, limit).unwrap_or_default()
}

/// The journal's lines about `unit` of the last minute.
pub fn journal(unit: &str, limit: Duration) -> String {
    let words = ["--user", "--unit", unit, "--since", "-1min", "--no-pager", "-q", "-o", "cat", "-n", "100"];
    ask("journalctl", &words, limit).unwrap_or_default()
}

/// Forgets the failure of `unit`: a failed unit's name can't be used again.
pub(crate) fn forget_failure(unit: &str, limit: Duration) {
    ask("systemctl", &["--user", "reset-failed", unit], limit);
}
