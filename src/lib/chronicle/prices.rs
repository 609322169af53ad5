//! The prices of tokens, from the user's `<root>/prices.json` or another file.
//!
//! ```json
//! { "currency": "USD", "models": { "claude-opus-*": { "input": 15, "output": 75, "cached": 1.5, "written": 18.75 } } }
//! ```
//!
//! Prices are for a million tokens. A model is found by its exact name, else by the longest prefix, which ends in `*`.

use crate::base::exit::{Exit, Failure};
use crate::runtime::Tokens;
use crate::store::open::{self, Rule, without_bom};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The table.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The currency of the prices.
    #[serde(default)]
    pub currency: String,
    /// Prices by model.
    pub models: BTreeMap<String, Price>,
}

/// The prices of a model, for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of tokens sent.
    pub input: f64,
    /// Of tokens answered.
    pub output: f64,
    /// Of tokens read from a cache. Default: `input`.
    pub cached: Option<f64>,
    /// Of tokens written to a cache. Default: `input`.
    pub written: Option<f64>,
}

impl Prices {
    /// Reads the table at `path`. `None`: there is no such file. An error where a price is below zero.
    pub fn read(path: &Path) -> Result<Option<Prices>, Failure> {
        let Some(bytes) = open::read(path, Rule::DOCUMENT)? else { return Ok(None) };
        let bad = |why: String| Failure::new(Exit::Config, format!("{}: {why}", path.display()));
        let prices: Prices = serde_json::from_slice(without_bom(&bytes)).map_err(|error| bad(error.to_string()))?;
        let numbers = |price: &Price| [Some(price.input), Some(price.output), price.cached, price.written];
        match prices.models.iter().find(|(_, price)| numbers(price).iter().flatten().any(|number| *number < 0.0)) {
            Some((model, _)) => Err(bad(format!("a price of {model} is below zero"))),
            None => Ok(Some(prices)),
        }
    }

    /// The cost of `tokens` of `model`. `None`: the table does not have the model.
    pub fn cost(&self, model: Option<&str>, tokens: &Tokens) -> Option<f64> {
        let model = model?;
        let begins = |name: &str| name.strip_suffix('*').is_some_and(|begin| model.starts_with(begin));
        let longest = || self.models.iter().filter(|(name, _)| begins(name)).max_by_key(|(name, _)| name.len());
        let price = self.models.get(model).or_else(|| longest().map(|(_, price)| price))?;
        let each = [
            (tokens.input, price.input),
            (tokens.output, price.output),
            (tokens.cached, price.cached.unwrap_or(price.input)),
            (tokens.written, price.written.unwrap_or(price.input)),
        ];
        Some(each.iter().map(|(count, price)| *count as f64 * price / 1e6).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_has_the_price() {
        let price = |input| Price { input, output: 2.0, cached: None, written: Some(0.0) };
        let models =
            [("a-*", 1.0), ("a-b-*", 10.0), ("a-b-c", 100.0)].map(|(name, input)| (name.to_owned(), price(input)));
        let prices = Prices { currency: "EUR".into(), models: models.into() };
        let tokens = Tokens { input: 500_000, cached: 500_000, written: 9, output: 1_000_000 };
        for (model, cost) in [
            (Some("a-x"), Some(3.0)),
            (Some("a-b-x"), Some(12.0)),
            (Some("a-b-c"), Some(102.0)),
            (Some("b"), None),
            (None, None),
        ] {
            assert_eq!(prices.cost(model, &tokens), cost, "{model:?}");
        }
    }
}
