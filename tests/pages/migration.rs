//! docs/migration-from-xml.md.

use std::fs;
use std::process::{Command, Stdio};

use cgi_fpm::config::{LoadOptions, convert};
use testkit::log::{classic, words_of_dump};
use testkit::sandbox::Sandbox;
use testkit::stage::{run_in, run_to_end};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

fn blocks(language: &str) -> Outcome<Vec<String>> {
    super::blocks("docs/migration-from-xml.md", language)
}

#[test]
fn the_page_about_migration_shows_what_happens() -> Outcome {
    let (xml, ini) = (blocks("xml")?, blocks("ini")?);
    ensure!((xml.len(), ini.len()) == (1, 1), "{} and {} examples", xml.len(), ini.len());
    let place = tempfile::tempdir()?;
    fs::create_dir(place.path().join("logs"))?;
    fs::write(place.path().join("php-fpm.conf"), &xml[0])?;
    let options = LoadOptions {
        php_prefix: place.path().to_owned(),
        local_state_dir: place.path().join("var"),
        root: true,
        ..LoadOptions::default()
    };
    let (converted, messages) = convert(&place.path().join("php-fpm.conf"), &options)?;
    let dir = format!("{}/", place.path().display());
    ensure!(converted.replace(&dir, "") == ini[0], "{converted}");
    ensure!(messages.lines.is_empty(), "{messages:?}");
    let log = blocks("text")?.concat();
    ensure!(log.lines().count() > 3 && log.lines().all(|line| classic(line).is_some()), "{log}");
    Ok(())
}

#[test]
fn the_page_about_migration_works() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    fs::create_dir(sandbox.file("logs"))?;
    fs::create_dir(sandbox.file("bin"))?;
    // php-cgi, by whichever door is tested.
    let program = target.program();
    sandbox.put("bin/php-cgi", &format!("#!/bin/sh\nshift\nexec {} \"$@\"\n", program.display()))?;
    fs::set_permissions(sandbox.file("bin/php-cgi"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let xml = blocks("xml")?.concat().replace("/usr/local/logs", &sandbox.file("logs").to_string_lossy());
    sandbox.put("php-fpm.conf", &xml)?;
    let before = run_in(&target, &sandbox, &["-y", "php-fpm.conf", "-tt"])?.expect(0, &[])?;
    let page = blocks("console")?.concat();
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    ensure!(commands.len() == 4, "{commands:?}");
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &commands.join("\n")]).envs(target.environment()).current_dir(sandbox.path());
    shell.env("PATH", format!("{}:/usr/bin:/bin", sandbox.file("bin").display())).stdin(Stdio::null());
    run_to_end(&mut shell)?.expect(0, &["test is successful"])?;
    let after = run_in(&target, &sandbox, &["-y", "php-fpm.conf", "-tt"])?.expect(0, &[])?;
    ensure!(
        words_of_dump(&before.text).len() > 60 && words_of_dump(&before.text) == words_of_dump(&after.text),
        "{}",
        after.text
    );
    ensure!(fs::read_to_string(sandbox.file("php-fpm.conf"))?.starts_with("; made from"), "still XML");
    Ok(())
}
