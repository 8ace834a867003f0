//! `make bench SCALE=1`: many pools, each of a user of its own, beside the php-fpm of the same build: memory, the time
//! of starts and reloads, and what sleeping pools cost. Needs root.
//!
//! Options: `--scale`, `--pools 50,200,600`, and `--strings 8,2` (`opcache.interned_strings_buffer`).

mod case;
mod memory;
mod side;
mod table;

use testkit::target::{Target, as_root};
use testkit::{Outcome, ensure, say, turn};

use case::Case;
use side::Side;

/// Measures all cases and prints the tables.
pub fn run() -> Outcome {
    ensure!(as_root(), "pools of several users need root");
    let ours = Target::find().ok_or("nothing to measure")?;
    let (pools, strings) = (numbers("--pools", "50,200,600")?, numbers("--strings", "8,2")?);
    let _turn = turn::alone()?;
    let sides = Side::all(&ours)?;
    table::head(&ours);
    for &strings in &strings {
        for &pools in &pools {
            let case = Case { pools, strings };
            let mut all = Vec::new();
            for side in &sides {
                say(&format!("{pools} pools, strings {strings} MB: {}", side.name));
                all.push(case::measure(side, case)?);
            }
            table::print(case, &sides, &all);
        }
    }
    Ok(())
}

fn numbers(name: &str, default: &str) -> Outcome<Vec<usize>> {
    let mut words = std::env::args().skip_while(|word| word != name).skip(1);
    let text = words.next().unwrap_or_else(|| default.to_owned());
    let read = |word: &str| word.parse().map_err(|_| format!("{name} {text}: no numbers").into());
    text.split(',').map(read).collect()
}
