//! The verbs of `iapeer` about the past: usage and timeline.

use crate::base::exit::{Exit, Failure};
use crate::chronicle::prices::Prices;
use crate::chronicle::{page, svg, text, timeline, usage, usage_table};
use crate::cli;
use crate::cli::chronicle_args::ChronicleVerb;
use crate::cli::verbs::logged;
use crate::host::about;
use crate::operator::{list, logs, table};
use crate::world::World;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Runs one of the verbs.
pub(crate) fn run(world: &World<'_>, verb: ChronicleVerb) -> Result<Exit, Failure> {
    match verb {
        ChronicleVerb::Usage { since, by, prices, json } => {
            let since = logs::since(&since, world.now())?;
            let prices = match prices {
                Some(path) => {
                    let missing = || Failure::new(Exit::NoInput, format!("there is no {}", path.display()));
                    Some(Prices::read(&path)?.ok_or_else(missing)?)
                }
                None => Prices::read(&world.paths.prices())?,
            };
            let used = usage::usage(world, since, by, prices.as_ref())?;
            if json {
                used.rows
                    .iter()
                    .for_each(|row| cli::tell(true, &json!({ by.as_str(): row.name, "usage": row }), String::new));
                cli::tell(true, &json!({ "total": used.total }), String::new);
            } else {
                let currency = prices.as_ref().map(|prices| prices.currency.as_str());
                usage_table::lines(&used, by.as_str(), currency).iter().for_each(cli::say);
            }
            Ok(Exit::Ok)
        }
        ChronicleVerb::Timeline { peers, since, svg, html, json } => {
            let since = logs::since(&since, world.now())?;
            let names = peers.iter().map(|text| logged(world, text)).collect::<Result<Vec<_>, Failure>>()?;
            let timeline = timeline::timeline(world, since, &names)?;
            match (svg, html) {
                (Some(path), _) => write(&path, &svg::svg(&timeline))?,
                (_, Some(path)) => {
                    let mut listed = list::peers(world)?;
                    listed.retain(|peer| names.is_empty() || names.contains(&peer.personality));
                    table::sort(&mut listed);
                    write(&path, &page::page(&timeline, &listed, &about::hostname())?)?;
                }
                _ if json => cli::tell(true, &timeline, String::new),
                _ => text::lines(&timeline, width()).iter().for_each(cli::say),
            }
            Ok(Exit::Ok)
        }
    }
}

/// The width of the terminal; 100 where there is none.
fn width() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}

/// Writes a result (to stdout, where `path` is `-`). A file is replaced in one step: a reader gets the whole old or the
/// whole new one.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if path == Path::new("-") {
        cli::say(text.trim_end());
        return Ok(());
    }
    let failed = |error| Failure::create(path, &error);
    // A link is followed, not replaced; a device or a FIFO can't be replaced, but written into.
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if place.metadata().is_ok_and(|meta| !meta.is_file()) {
        std::fs::write(&place, text).map_err(failed)?;
        return Ok(());
    }
    let mut name = place.as_os_str().to_owned();
    name.push(format!(".tmp-{}", std::process::id()));
    let temp = PathBuf::from(name);
    // With the user's own umask: a web server may be meant to read the file. `create_new`, because in a folder that
    // everybody may write to, an existing name may be somebody else's link.
    let mut made = OpenOptions::new().write(true).create_new(true).open(&temp).map_err(failed)?;
    let written = made.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&temp, &place));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&temp);
        failed(error)
    })?;
    cli::say(path.display().to_string());
    Ok(())
}
