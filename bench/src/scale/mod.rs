//! `make bench SCALE=1`: many pools, each of a user of its own, beside the php-fpm of the same build: memory, the time
//! of starts and reloads, and what sleeping pools cost. Needs root.
//!
//! Options: `--pools 50,200,600`, and `--strings 8,2` (`opcache.interned_strings_buffer`).

mod case;
mod memory;
mod side;
mod table;

use serde_json::{Map, Value, json};
use testkit::target::{Target, as_root};
use testkit::{Outcome, ensure, say};

use crate::options::Options;
use case::Case;
use side::Side;

/// Measures all cases and prints the tables; the figures by case and server.
pub fn run(ours: &Target, options: &Options) -> Outcome<Value> {
    ensure!(as_root(), "pools of several users need root");
    let sides = Side::all(ours)?;
    table::head(ours);
    let mut results = Vec::new();
    for &strings in &options.strings {
        for &pools in &options.pools {
            let case = Case { pools, strings };
            let mut all = Vec::new();
            for side in &sides {
                say(&format!("{pools} pools, strings {strings} MB: {}", side.name));
                all.push(case::measure(side, case)?);
            }
            table::print(case, &sides, &all);
            let figures: Map<String, Value> =
                sides.iter().zip(&all).map(|(side, all)| (side.name.to_owned(), table::figures(all))).collect();
            results.push(json!({ "pools": pools, "strings": strings, "figures": figures }));
        }
    }
    Ok(Value::Array(results))
}
