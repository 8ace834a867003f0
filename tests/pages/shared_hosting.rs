//! docs/shared-hosting.md.

use std::fs;

use testkit::sandbox::Sandbox;
use testkit::stage::run_in;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

use super::blocks;

/// The two files of the page pass the check, with this machine's users and paths.
#[test]
fn the_settings_for_shared_hosting_are_valid() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let blocks = blocks("docs/shared-hosting.md", "ini")?;
    ensure!(blocks.len() == 2, "{} examples", blocks.len());
    let sandbox = Sandbox::new()?;
    fs::create_dir(sandbox.file("customers"))?;
    let dir = sandbox.path().display().to_string();
    let user = web_user().unwrap_or("nobody");
    let local = |text: &str| {
        let moved = ["/etc/php-fpm", "/run/php-fpm", "/var/log/php-fpm"]
            .iter()
            .fold(text.to_owned(), |t, p| t.replace(p, &dir));
        moved.replace("user = shop", &format!("user = {user}")).replace("group = shop\n", "")
    };
    sandbox.put("fpm.conf", &local(&blocks[0]))?;
    sandbox.put("customers/shop.conf", &local(&blocks[1]))?;
    run_in(&target, &sandbox, &["-y", "fpm.conf", "-t"])?.expect(0, &["test is successful"])?;
    Ok(())
}
