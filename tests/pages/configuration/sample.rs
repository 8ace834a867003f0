//! build-aux/php-fpm.conf.default.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use cgi_fpm::config::{GLOBAL_DIRECTIVES, LIST_DIRECTIVES, POOL_DIRECTIVES};
use testkit::sandbox::Sandbox;
use testkit::stage::run_to_end;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::Place;
use crate::source;

/// A paragraph of the sample file: its comment, and the lines that an operator may enable.
struct Sample {
    global: bool,
    example: bool,
    line: String,
}

/// `; name = value` and `name = value`, each with whether the comment above says "example".
fn samples(file: &str) -> Vec<Sample> {
    let (mut samples, mut global, mut example, mut in_comment) = (Vec::new(), true, false, false);
    for line in file.lines() {
        let text = line.strip_prefix("; ").unwrap_or(line);
        let name = text.split_once(" = ").map_or("", |(name, _)| name);
        let is_entry = !name.is_empty() && !name.contains(' ');
        if line == "[www]" {
            global = false;
        } else if is_entry {
            samples.push(Sample { global, example: example || !line.starts_with(';'), line: text.to_owned() });
        } else {
            example = (in_comment && example) || text.contains("xample");
        }
        in_comment = line.starts_with(';') && !is_entry;
    }
    samples
}

#[test]
fn the_sample_file_has_each_directive_with_its_default() -> Outcome {
    let file = source("build-aux/php-fpm.conf.default")?;
    let place = Place::new()?;
    let samples = samples(&file);
    let names = |global: bool| {
        let names = samples.iter().filter(move |sample| sample.global == global).map(|sample| &sample.line);
        names.map(|line| line.split([' ', '[']).next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let lists = LIST_DIRECTIVES.iter().map(|(name, _)| *name);
    for (global, known) in [
        (true, GLOBAL_DIRECTIVES.iter().map(|d| d.name).chain(["include"]).collect::<BTreeSet<_>>()),
        (false, POOL_DIRECTIVES.iter().map(|d| d.name).chain(lists).collect()),
    ] {
        let shown = names(global);
        let once: BTreeSet<&str> = shown.iter().map(String::as_str).collect();
        ensure!(once == known, "only in the file or the table: {:?}", once.symmetric_difference(&known));
        let may_repeat = |name: &str| ["listen", "env", "php_admin_value"].contains(&name);
        let twice = known.iter().find(|n| !may_repeat(n) && shown.iter().filter(|shown| shown == n).count() > 1);
        ensure!(twice.is_none(), "{twice:?} stands twice");
    }
    for sample in &samples {
        let line = sample.line.replace("/srv/", &format!("{}/", place.0.path().display()));
        let said = place.with(sample.global, &line).map_err(|e| format!("{line}: {e}"))?;
        let silent = place.with(sample.global, "")?;
        ensure!(sample.example || said.0 == silent.0 || said.1 == silent.1, "{line}: not the default, nor an example");
    }
    Ok(())
}

#[test]
fn the_sample_file_passes_the_test_of_the_configuration() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    fs::create_dir(sandbox.file("log"))?;
    sandbox.put("php-fpm.conf", &source("build-aux/php-fpm.conf.default")?)?;
    let mut command = Command::new(target.program());
    command.args(["-n", "-p", ".", "-y", "php-fpm.conf", "-t"]).envs(target.environment());
    command.current_dir(sandbox.path()).stdin(Stdio::null());
    run_to_end(&mut command)?.expect(0, &["test is successful"])?;
    Ok(())
}
