//! Having a conversation compacted by the program's own command.

use super::ready::{self, Trouble};
use super::real::RealHost;
use crate::base::clock::{Deadline, wait_for};
use crate::host::tmux::{Input, Key};
use crate::runtime::screen::{Draft, Sight};
use crate::world::peer::Peer;
use std::time::Duration;

/// How long a screen may lag behind what it shows.
const REPAINT: Duration = Duration::from_secs(1);

/// Types control text into an idle, empty composer, and waits until the transcript says that a compaction is done.
pub(crate) fn compact(host: &RealHost<'_>, peer: &Peer, text: &str) -> Result<(), String> {
    let (Some(rules), Some(transcripts)) = (peer.manifest.screen.as_ref(), host.transcripts(peer)) else {
        return Err(format!("runtime {} has no transcript to tell the end of a compaction by", peer.manifest.runtime));
    };
    let look = || match ready::look(host, peer) {
        Ok(screen) => Ok(screen),
        Err(Trouble::Ended { why, .. }) => Err(why),
        Err(Trouble::Passing) => Err("tmux does not answer".to_owned()),
    };
    let obstacle = || -> Result<Option<&str>, String> {
        Ok(match look()?.sight(rules) {
            Sight::Input { draft: Draft::Empty, busy: false } => None,
            Sight::Input { busy: true, .. } => Some("a turn is running; try again when it is over"),
            Sight::Input { .. } => Some("somebody has a draft in the composer"),
            _ => Some("the composer is not on the screen"),
        })
    };
    // A program calls its stop hook a moment before its screen says so too: one look may come between the two.
    let passing = Deadline::after(host.clock, REPAINT);
    let mut seen = obstacle()?;
    while seen.is_some() && !passing.passed(host.clock) {
        host.clock.sleep(Duration::from_millis(50));
        seen = obstacle()?;
    }
    if let Some(why) = seen {
        return Err(why.into());
    }
    let baseline = transcripts.baseline();
    let server = host.server(&peer.identity).map_err(|error| error.to_string())?;
    let typed = Input::control(text).and_then(|input| server.paste(&input));
    typed.map_err(|error| error.to_string())?;
    host.clock.sleep(peer.manifest.settle().max(Duration::from_millis(100)));
    server.keys(&[Key::named(&peer.manifest.keys.submit)]).map_err(|error| error.to_string())?;
    let deadline = Deadline::after(host.clock, host.settings.compact_done);
    let poll = host.settings.compact_poll.min(Duration::from_millis(100));
    let done = wait_for(host.clock, deadline, poll, || transcripts.compacted_since(&baseline).then_some(()));
    if done.is_none() {
        let tail = look().map(|screen| screen.tail()).unwrap_or_default();
        return Err(format!(
            "compact did not complete within {}ms (no transcript compact marker; pane tail: {tail})",
            host.settings.compact_done.as_millis()
        ));
    }
    // The record is the proof; an idle composer is only worth a short wait.
    let grace = Deadline::after(host.clock, host.settings.compact_grace);
    let _ = wait_for(host.clock, grace, Duration::from_millis(50), || {
        let screen = look().ok()?;
        matches!(screen.sight(rules), Sight::Input { busy: false, .. }).then_some(())
    });
    Ok(())
}
