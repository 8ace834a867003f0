//! `-t`, `-tt` and `--convert`.

use std::fs;
use std::process::{Command, Stdio};

use testkit::log::{classic, words_of_dump};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::run_in;
use testkit::stage::run_to_end;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{of_today, old_files, whole_log};

#[test]
fn an_ini_file_may_have_the_originals_log_form() -> Outcome {
    let Some(target) = Target::find_ours() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).global("log_format = classic"))?;
    let log = whole_log(server)?;
    for line in log.lines() {
        ensure!(classic(line).is_some(), "not in the original's form: {line}");
    }
    ensure!(log.matches("fpm(), line 1: ready to handle connections").count() == 1, "{log}");
    Ok(())
}

#[test]
fn the_command_line_tests_and_converts() -> Outcome {
    let Some(target) = Target::find_ours() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    fs::create_dir_all(sandbox.file("etc"))?;
    fs::create_dir_all(sandbox.file("logs"))?;
    let dir = sandbox.path().to_string_lossy().into_owned();
    for path in old_files()? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path)?.replace("{{DIR}}", &dir);
        // The file at the default path of the original, below the prefix; and one that is named.
        sandbox.put("etc/php-fpm.conf", &text)?;
        sandbox.put("old.conf", &text)?;
        let broken = fs::read_to_string(path.with_extension("expected"))?.starts_with("Error");
        let status = if broken { 78 } else { 0 };
        let by_default = run_in(&target, &sandbox, &["-p", &dir, "-tt"])?.expect(status, &[])?;
        let named = run_in(&target, &sandbox, &["-p", &dir, "--fpm-config", "old.conf", "-tt"])?.expect(status, &[])?;
        let converted = run_in(&target, &sandbox, &["-p", &dir, "--convert", "old.conf"])?.expect(status, &[])?;
        ensure!(
            words_of_dump(&by_default.text).len() == words_of_dump(&named.text).len(),
            "{name}: {}",
            by_default.text
        );
        for line in by_default.text.lines() {
            ensure!(classic(line).is_some(), "{name}: not in the original's form: {line}");
        }
        if broken {
            ensure!(converted.text.contains("[old.conf:"), "{name}: {}", converted.text);
            continue;
        }
        // Notes about the old file follow on stderr.
        let ini: Vec<&str> = converted.text.lines().filter(|line| !of_today(line)).collect();
        sandbox.put("new.conf", &(ini.join("\n") + "\n"))?;
        run_in(&target, &sandbox, &["-p", &dir, "-y", "new.conf", "-t"])?.expect(0, &["test is successful"])?;
        let new = run_in(&target, &sandbox, &["-p", &dir, "-y", "new.conf", "-tt"])?.expect(0, &[])?;
        ensure!(words_of_dump(&new.text) == words_of_dump(&named.text), "{name}:\n{}\n{}", new.text, named.text);
        stock_agrees(&target, &sandbox, &new.text)?;
    }
    sandbox.put("plain.conf", "[global]\n")?;
    run_in(&target, &sandbox, &["--convert", "plain.conf"])?.expect(78, &["plain.conf is not an XML file"])?;
    run_in(&target, &sandbox, &["--convert", "none.conf"])?.expect(78, &["No such file or directory"])?;
    run_in(&target, &sandbox, &["--convert"])?.expect(64, &[])?;
    Ok(())
}

/// Stock php-fpm reads the ini file as we do, except for directives that it lacks.
fn stock_agrees(target: &Target, sandbox: &Sandbox, ours: &str) -> Outcome {
    let stock = target.prefix.join("libexec/php-fpm-stock");
    if !stock.exists() {
        return Ok(());
    }
    let ini = fs::read_to_string(sandbox.file("new.conf"))?.replace("\nlog_format = classic\n", "\n");
    sandbox.put("stock.conf", &ini)?;
    let mut command = Command::new(stock);
    command.args(["-p", &sandbox.path().to_string_lossy(), "-y", "stock.conf", "-tt"]);
    command.current_dir(sandbox.path()).stdin(Stdio::null());
    let theirs = run_to_end(&mut command)?.expect(0, &[])?;
    let ours: Vec<&str> = words_of_dump(ours).into_iter().filter(|line| *line != "\tlog_format = classic").collect();
    ensure!(words_of_dump(&theirs.text) == ours, "stock:\n{}\nours:\n{}\n{ini}", theirs.text, ours.join("\n"));
    Ok(())
}
