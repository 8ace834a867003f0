//! The options of the command line.

use std::path::PathBuf;

use testkit::Outcome;

/// What is measured, and how long.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    /// The parts to run, in this order.
    pub(crate) parts: Vec<Part>,
    /// Rounds of each server.
    pub(crate) rounds: usize,
    /// The share of the full number of requests in a round.
    pub(crate) effort: f64,
    /// Only the cases that matter most.
    pub(crate) quick: bool,
    /// Only cases whose name contains this.
    pub(crate) only: Option<String>,
    /// Whether both servers write an access log.
    pub(crate) access_log: bool,
    /// Whether the table is the short one, for a document.
    pub(crate) markdown: bool,
    /// Numbers of pools.
    pub(crate) pools: Vec<usize>,
    /// Values of `opcache.interned_strings_buffer` for the pools.
    pub(crate) strings: Vec<usize>,
    /// Where the figures of all rounds are written.
    pub(crate) json: Option<PathBuf>,
}

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// One client, one worker, one core.
    Micro,
    /// New workers.
    Fresh,
    /// Web servers, as fast as they can.
    Web,
    /// Web servers, at fixed rates.
    Rates,
    /// Memory of a pool.
    Memory,
    /// Many workers and clients.
    Clients,
    /// Many pools.
    Pools,
}

/// Names of the parts; without `--parts` all but the last two are run.
const PARTS: [(&str, Part); 7] = [
    ("micro", Part::Micro),
    ("fresh", Part::Fresh),
    ("web", Part::Web),
    ("rates", Part::Rates),
    ("memory", Part::Memory),
    ("clients", Part::Clients),
    ("pools", Part::Pools),
];

impl Default for Options {
    fn default() -> Self {
        Self {
            parts: PARTS[..5].iter().map(|(_, part)| *part).collect(),
            rounds: 7,
            effort: 1.0,
            quick: false,
            only: None,
            access_log: false,
            markdown: false,
            pools: vec![50, 200, 600],
            strings: vec![8, 2],
            json: None,
        }
    }
}

impl Options {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// If an option is unknown or lacks its value.
    pub(crate) fn read(words: impl IntoIterator<Item = String>) -> Outcome<Self> {
        let mut options = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                "--quick" => options = Self { quick: true, rounds: 3, effort: 0.2, ..options },
                "--scale" => options.parts = vec![Part::Clients, Part::Pools],
                "--access-log" => options.access_log = true,
                "--markdown" => options.markdown = true,
                "--rounds" => options.rounds = number(&value()?)?,
                "--only" => options.only = Some(value()?),
                "--json" => options.json = Some(value()?.into()),
                "--parts" => options.parts = value()?.split(',').map(part).collect::<Outcome<_>>()?,
                "--pools" => options.pools = numbers(&value()?)?,
                "--strings" => options.strings = numbers(&value()?)?,
                _ => return Err(format!("unknown option {word}").into()),
            }
        }
        Ok(options)
    }

    /// Whether a case of that name is to be measured.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.only.as_ref().is_none_or(|text| case.contains(text.as_str()))
    }

    /// A number of requests for one round: this share of `full`, at least `least`.
    pub(crate) fn requests(&self, full: usize, least: usize) -> usize {
        ((full as f64 * self.effort) as usize).max(least)
    }
}

fn part(name: &str) -> Outcome<Part> {
    let known = PARTS.iter().find(|(known, _)| *known == name);
    let names = PARTS.map(|(name, _)| name).join(", ");
    known.map(|(_, part)| *part).ok_or_else(|| format!("there is no part {name}; the parts are {names}").into())
}

fn numbers(text: &str) -> Outcome<Vec<usize>> {
    text.split(',').map(number).collect()
}

fn number(text: &str) -> Outcome<usize> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("{text} is no number above 0").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Outcome<Options> {
        Options::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn reads_options() -> Outcome {
        let options = read("--quick --rounds 2 --parts web,memory --only TCP --json a.json")?;
        assert_eq!((options.rounds, options.quick), (2, true));
        assert_eq!(options.parts, [Part::Web, Part::Memory]);
        assert!(options.wants("nginx TCP, c = 2") && !options.wants("nginx unix, c = 2"));
        assert_eq!((options.requests(1000, 10), options.requests(10, 8)), (200, 8));
        assert!(!read("")?.parts.contains(&Part::Pools));
        let options = read("--scale --pools 50,600")?;
        assert_eq!((options.parts, options.pools), (vec![Part::Clients, Part::Pools], vec![50, 600]));
        Ok(())
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["--fast", "--rounds", "--rounds 0", "--rounds x", "--parts all"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
