//! The ids of all messages in a history, of any outcome.

use super::history::History;
use super::open::{self, Rule};
use crate::base::message_id::MessageId;
use crate::store::durable::StoreError;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

/// How each line begins, up to the message's id.
const ID_PREFIX: &[u8] = b"{\"v\":1,\"id\":\"";

impl History {
    /// The ids of all messages that the history has a line about.
    pub(crate) fn ids(&self) -> Result<BTreeSet<MessageId>, StoreError> {
        let id = |line: &[u8]| -> Option<MessageId> {
            std::str::from_utf8(line.strip_prefix(ID_PREFIX)?.get(..26)?).ok()?.parse().ok()
        };
        let mut ids = BTreeSet::new();
        for path in [self.older(), self.path.clone()] {
            let failed = |error| StoreError::io("read", &path, error);
            let Some((file, _)) = open::open(&path, Rule::LOG).map_err(|error| failed(error.into()))? else { continue };
            for line in BufReader::new(file).split(b'\n') {
                ids.extend(id(&line.map_err(failed)?));
            }
        }
        Ok(ids)
    }
}
