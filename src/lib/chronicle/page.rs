//! The timeline as one self-contained page of HTML with data, style and script: the page loads nothing and sends nothing.

use crate::base::exit::{Exit, Failure};
use crate::base::xml::escaped;
use crate::chronicle::timeline::Timeline;
use crate::operator::list::Listed;
use serde_json::json;

/// The page, with places for the title and the data.
const PAGE: &str = include_str!("page.html");

/// The page of `timeline`, with the table of `peers` beside it.
pub fn page(timeline: &Timeline, peers: &[Listed], host: &str) -> Result<String, Failure> {
    let data = json!({ "timeline": timeline, "peers": peers.iter().map(row).collect::<Vec<_>>() });
    let data = serde_json::to_string(&data).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    // No text may look like the end of the script element that it is in.
    let data = data.replace('<', "\\u003c");
    let title = format!("iapeer on {host}");
    Ok(PAGE.replace("{{title}}", &escaped(&title)).replace("{{data}}", &data))
}

/// The data of a peer for the table. The page never contains the text of a message, of a screen or of a tool.
fn row(peer: &Listed) -> serde_json::Value {
    let runtimes: Vec<&str> = peer.runtimes.iter().map(|on| on.runtime.as_str()).collect();
    json!({
        "name": peer.personality,
        "runtimes": runtimes,
        "state": peer.state,
        "since": peer.began(),
        "queue": peer.queue,
        "dead": peer.dead,
        "memory": peer.memory_bytes,
        "description": peer.description,
    })
}
