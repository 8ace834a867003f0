//! The samples of docs/operations.md.

use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{command_in, run_to_end};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::blocks;

/// Each command prints what the page shows.
#[test]
fn samples_of_the_page_about_operations() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let text = blocks("docs/operations.md", "console")?.concat();
    let samples: Vec<(&str, &str)> =
        text.split("$ php-fpm ").skip(1).filter_map(|sample| sample.split_once('\n')).collect();
    ensure!(samples.len() > 3, "{samples:?}");
    let server = Server::start(&target, &Setup::new(1))?;
    for (words, shown) in samples {
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        let ran = run_to_end(&mut command_in(&target, &server.sandbox, &words))?;
        ensure!(ran.text == shown, "{words:?} prints {:?}, the page shows {shown:?}", ran.text);
    }
    server.stop()
}
