//! The front's verbs about what has happened.

use crate::base::exit::{Exit, Failure};
use crate::chronicle::prices::Prices;
use crate::chronicle::{usage, usage_table};
use crate::cli;
use crate::cli::chronicle_args::ChronicleVerb;
use crate::operator::logs;
use crate::world::World;
use serde_json::json;

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
    }
}
