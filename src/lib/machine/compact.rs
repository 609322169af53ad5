//! Having a conversation compacted by the program's own command.

use super::ready;
use super::real::RealHost;
use crate::base::clock::{Deadline, wait_for};
use crate::host::tmux::{Input, Key};
use crate::runtime::screen::{Draft, Sight};
use crate::world::peer::Peer;
use crate::world::{CompactError, HostError};
use std::time::Duration;

/// How long the screen may lag behind the program's state.
const REPAINT: Duration = Duration::from_secs(1);

/// Types control text into an idle, empty composer, and waits until the transcript says that a compaction is done.
pub(crate) fn compact(host: &RealHost<'_>, peer: &Peer, text: &str) -> Result<(), CompactError> {
    let (Some(rules), Some(transcripts)) = (peer.manifest.screen.as_ref(), host.transcripts(peer)) else {
        return Err(CompactError::NoTranscript(peer.manifest.runtime.clone()));
    };
    let look = || ready::look(host, peer).map_err(HostError::from);
    let obstacle = || -> Result<Option<CompactError>, HostError> {
        Ok(match look()?.sight(rules) {
            Sight::Input { draft: Draft::Empty, busy: false } => None,
            Sight::Input { busy: true, .. } => Some(CompactError::Busy),
            Sight::Input { .. } => Some(CompactError::Draft),
            _ => Some(CompactError::NoComposer),
        })
    };
    // A program calls its stop hook a moment before its screen shows the end of the turn: the first reading may fall
    // between the two.
    let passing = Deadline::after(host.clock, REPAINT);
    let mut seen = obstacle()?;
    while seen.is_some() && !passing.passed(host.clock) {
        host.clock.sleep(Duration::from_millis(50));
        seen = obstacle()?;
    }
    if let Some(why) = seen {
        return Err(why);
    }
    let baseline = transcripts.baseline();
    let server = host.server(&peer.identity).map_err(HostError::from)?;
    Input::control(text).and_then(|input| server.paste(&input)).map_err(HostError::from)?;
    host.clock.sleep(peer.manifest.settle(text.len()).max(Duration::from_millis(100)));
    server.keys(&[Key::named(&peer.manifest.keys.submit)]).map_err(HostError::from)?;
    let deadline = Deadline::after(host.clock, host.settings.compact_done);
    let poll = host.settings.compact_poll.min(Duration::from_millis(100));
    let done = wait_for(host.clock, deadline, poll, || transcripts.compacted_since(&baseline).then_some(()));
    if done.is_none() {
        let tail = look().map(|screen| screen.tail()).unwrap_or_default();
        return Err(CompactError::NotDone { waited: host.settings.compact_done, tail });
    }
    // The record in the transcript is the proof; the wait for an idle composer after it is short.
    let grace = Deadline::after(host.clock, host.settings.compact_grace);
    let _ = wait_for(host.clock, grace, Duration::from_millis(50), || {
        let screen = look().ok()?;
        matches!(screen.sight(rules), Sight::Input { busy: false, .. }).then_some(())
    });
    Ok(())
}
