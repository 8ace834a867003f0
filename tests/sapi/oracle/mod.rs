//! Sends the same FastCGI requests to cgi-fpm and to stock php-fpm. Everything that the script sees is equal, and so
//! are the answers if no script runs. One test uses thousands of generated script paths: `CGI_FPM_GENERATED` is their
//! number, `CGI_FPM_SEED` chooses another series. The second one has requests with other unusual properties. The
//! third one mixes several of them in one request, for every second case of the series.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod mixed;
mod odd;
mod side;

use std::env;

use mixed::Mixed;
use side::{ONCE, Side, difference};
use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use crate::script::{Case, FILES, Rules};
use crate::wire::Pairs;

#[test]
fn script_paths() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let site = Sandbox::new()?;
    let mut sides = Sides::start(&target, furnish(&site)?)?;
    let (mut asked, mut ran, mut different) = (0, 0, Vec::new());
    for bytes in series() {
        let case = Case::read(&bytes, &sides.root);
        let [ours, stock] = sides.ask_case(&case)?;
        asked += 1;
        ran += usize::from(ours.contains("\n--\n"));
        if ours != stock {
            different.push(sides.explain(case)?);
        }
        if different.len() == 10 {
            break;
        }
    }
    ensure!(
        different.is_empty(),
        "{} of {asked} cases differ, such as these:\n{}",
        different.len(),
        different.join("\n")
    );
    ensure!(ran * 6 > asked, "only {ran} of {asked} cases ran a script");
    sides.stop()
}

#[test]
fn odd_requests() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let site = Sandbox::new()?;
    let mut sides = Sides::start(&target, furnish(&site)?)?;
    let (mut asked, mut different) = (0, Vec::new());
    for (pairs, body) in odd::requests(&sides.root) {
        let settings = pairs.iter().any(|(name, _)| name.ends_with(b"_VALUE"));
        let pool = if settings { ONCE } else { 0 };
        let [ours, stock] = sides.ask(pool, &pairs, &body)?;
        asked += 1;
        if ours != stock {
            different.push(format!("=== {}\n{}", shown(&pairs), difference(&ours, &stock)));
        }
    }
    let some: String = different.iter().take(10).map(String::as_str).collect();
    ensure!(different.is_empty(), "{} of {asked} requests differ, such as these:\n{some}", different.len());
    sides.stop()
}

#[test]
fn mixed_requests() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let site = Sandbox::new()?;
    let mut sides = Sides::start(&target, furnish(&site)?)?;
    let (mut asked, mut ran) = (0, 0);
    for bytes in series().step_by(2) {
        let Mixed { pool, pairs, body } = mixed::read(&bytes, &sides.root);
        let [ours, stock] = sides.ask(pool, &pairs, &body)?;
        asked += 1;
        ran += usize::from(ours.contains("\n--\n"));
        let body_text = body.escape_ascii();
        ensure!(
            ours == stock,
            "request {asked} differs, to pool {pool} with the body {body_text}:\n{}{}",
            shown(&pairs),
            difference(&ours, &stock)
        );
    }
    ensure!(ran * 3 > asked, "only {ran} of {asked} requests ran a script");
    sides.stop()
}

/// The bytes of each case.
fn series() -> impl Iterator<Item = Vec<u8>> {
    let number = |name, usual| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let mut state: u64 = number("CGI_FPM_SEED", 0);
    // SplitMix64.
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    (0..number("CGI_FPM_GENERATED", 5000)).map(move |_| (0..6).flat_map(|_| next().to_le_bytes()).collect())
}

/// The site that `script::FILES` describes; each script prints what it sees.
fn furnish(site: &Sandbox) -> Outcome<String> {
    let root = site.file("site");
    std::fs::create_dir_all(&root)?;
    for name in FILES {
        let file = root.join(name);
        std::fs::create_dir_all(file.parent().ok_or("no parent")?)?;
        if name != "link.php" {
            std::fs::copy(site.page("seen.php"), file)?;
        }
    }
    std::os::unix::fs::symlink("info.php", root.join("link.php"))?;
    std::os::unix::fs::symlink("nowhere", root.join("broken.php"))?;
    Ok(root.display().to_string())
}

/// Both servers on one site.
struct Sides {
    root: String,
    ours: Side,
    stock: Side,
}

impl Sides {
    fn start(target: &Target, root: String) -> Outcome<Self> {
        let (ours, stock) = (Side::start(target, &root)?, Side::start(&target.partner(), &root)?);
        Ok(Self { root, ours, stock })
    }

    fn stop(self) -> Outcome {
        self.ours.server.stop()?;
        self.stock.server.stop()
    }

    fn ask(&mut self, pool: usize, pairs: &Pairs, body: &[u8]) -> Outcome<[String; 2]> {
        let ask = |side: &mut Side, name: &str| {
            side.ask(pool, pairs, body).map_err(|error| format!("{name}: {error}\n{}", shown(pairs)))
        };
        Ok([ask(&mut self.ours, "ours")?, ask(&mut self.stock, "php-fpm")?])
    }

    fn ask_case(&mut self, case: &Case) -> Outcome<[String; 2]> {
        let pool = Rules::ALL.iter().position(|rules| *rules == case.rules).ok_or("no such pool")?;
        let mut pairs: Pairs = vec![(b"REQUEST_METHOD".to_vec(), b"GET".to_vec())];
        pairs.extend(case.pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone())));
        self.ask(pool, &pairs, b"")
    }

    /// Reduces a case to the parts that cause the difference.
    fn explain(&mut self, case: Case) -> Outcome<String> {
        let mut least = case;
        let mut at = 0;
        while at < least.pairs.len() {
            let mut fewer = least.clone();
            fewer.pairs.remove(at);
            let [ours, stock] = self.ask_case(&fewer)?;
            if ours == stock {
                at += 1;
            } else {
                least = fewer;
            }
        }
        let [ours, stock] = self.ask_case(&least)?;
        let pairs: Pairs = least.pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone())).collect();
        Ok(format!("=== {:?}\n{}{}", least.rules, shown(&pairs), difference(&ours, &stock)))
    }
}

fn shown(pairs: &Pairs) -> String {
    pairs.iter().map(|(name, value)| format!("{}={}\n", name.escape_ascii(), value.escape_ascii())).collect()
}
