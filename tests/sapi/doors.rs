//! Starts that succeed and starts that are refused: options, and refusals in one clear line.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::broken::{self, Fault};
use testkit::stage::{Stage, run_to_end};
use testkit::target::{Door, as_root};
use testkit::{Outcome, ensure, skip, turn};

fn stage() -> Outcome<Option<Stage>> {
    Stage::find(2)
}

fn stage_of_ours() -> Outcome<Option<Stage>> {
    Stage::find_ours(2)
}

#[test]
fn options() -> Outcome {
    let Some(stage) = stage()? else { return Ok(()) };
    let _turn = turn::shared()?;
    stage.run(&["-v"])?.expect(0, &["PHP 8.", "(fpm-fcgi)", "Zend Engine"])?;
    stage.run(&["-m"])?.expect(0, &["[PHP Modules]", "Core", "[Zend Modules]", "Zend OPcache"])?;
    stage.run(&["-i"])?.expect(0, &["phpinfo()", "FPM/FastCGI", "Loaded Configuration File"])?;
    stage.run(&["-t"])?.expect(0, &["fpm.conf test is successful"])?;
    stage.run(&["-tt"])?.expect(0, &["[www]", "\tpm.max_children = 2", "test is successful"])?;
    stage.run(&["-h"])?.expect(0, &["Usage: ", "--fpm-config", "--nodaemonize"])?;
    ensure!(!stage.sandbox.file("fpm.sock").exists(), "something was started");
    Ok(())
}

#[test]
fn broken_configurations() -> Outcome {
    let Some(stage) = stage()? else { return Ok(()) };
    let _turn = turn::shared()?;
    // Without root `user` is ignored.
    let nobody = as_root().then_some(("user = nobody-has-this-name-x", "nobody-has-this-name-x"));
    let broken = [
        ("no.such.directive = 1", "unknown entry 'no.such.directive'"),
        ("pm = sometimes", "invalid process manager"),
        ("pm.max_children = 0", "pm.max_children must be a positive value"),
    ];
    for (line, reason) in broken.into_iter().chain(nobody) {
        stage.sandbox.put("fpm.conf", &format!("{}{line}\n", stage.conf))?;
        for options in [&["-t"][..], &["-F"]] {
            let text = stage.run(options)?;
            ensure!(text.status == Some(78) || text.status == Some(1), "{line}: status {:?}", text.status);
            ensure!(text.text.contains(reason), "{line}: {}", text.text);
        }
    }
    fs::remove_file(stage.sandbox.file("fpm.conf"))?;
    stage.run(&["-F"])?.expect(78, &["fpm.conf"])?;
    ensure!(!stage.sandbox.file("fpm.sock").exists(), "something was started");
    Ok(())
}

/// A web server that starts php-cgi --fpm as a CGI program is an attack, not a start.
#[test]
fn cgi_environment() -> Outcome {
    let Some(stage) = stage_of_ours()? else { return Ok(()) };
    let _turn = turn::shared()?;
    // php-src's run-tests.php sets only REQUEST_METHOD for every program that it starts.
    for name in ["GATEWAY_INTERFACE", "SERVER_SOFTWARE", "SERVER_NAME"] {
        run_to_end(stage.command(&["-F"]).env("REQUEST_METHOD", "GET").env(name, "x"))?.expect_refusal("CGI")?;
        let mut bare = Command::new(stage.target.host_in(&stage.target.prefix));
        bare.args(["--fpm", "-F", "-y"])
            .arg(stage.sandbox.file("fpm.conf"))
            .env("REQUEST_METHOD", "GET")
            .env(name, "x")
            .stdin(Stdio::null());
        run_to_end(&mut bare)?;
        ensure!(!stage.sandbox.file("fpm.sock").exists(), "{name}: something was started");
    }
    Ok(())
}

/// A library that is missing or does not start: a reason, a status, and no process left.
#[test]
fn broken_libraries() -> Outcome {
    let Some(mut stage) = stage_of_ours()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let real = stage.target.prefix.join("lib/cgi-fpm.so");
    let prefix = stage.target.prefix.clone();
    assemble(&mut stage, &prefix, &prefix)?;
    let library = stage.target.prefix.join("lib/cgi-fpm.so");
    for fault in Fault::ALL {
        broken::replace(&library, &broken::library(&stage.sandbox, &real, fault)?)?;
        refuses(&stage).map_err(|error| format!("{fault:?}: {error}"))?;
    }
    fs::remove_file(&library)?;
    refuses(&stage)?;
    let ran = stage.run(&["-F"])?;
    ran.expect_refusal("cgi-fpm.so")
}

/// Turns the prefix of the stage into a copy: the host of one prefix, the rest of another.
fn assemble(stage: &mut Stage, host: &Path, rest: &Path) -> Outcome {
    let copy = stage.sandbox.file("prefix");
    let others = ["sbin/php-fpm", "libexec/php-fpm-preload", "lib/cgi-fpm.so"].map(|name| (rest, name));
    for (from, name) in [(host, "bin/php-cgi")].into_iter().chain(others) {
        fs::create_dir_all(copy.join(name).parent().ok_or("no parent")?)?;
        fs::copy(from.join(name), copy.join(name))?;
    }
    stage.target.prefix = copy;
    Ok(())
}

fn refuses(stage: &Stage) -> Outcome {
    let ran = stage.run(&["-F"])?;
    ensure!(ran.status != Some(0), "status 0: {}", ran.text);
    ensure!(ran.status.is_none() || !ran.text.trim().is_empty(), "no word of why");
    ensure!(!stage.sandbox.file("fpm.sock").exists(), "something was started: {}", ran.text);
    Ok(())
}

/// The library of one PHP in the php-cgi of another, if both are built.
#[test]
fn other_api() -> Outcome {
    let Some(mut stage) = stage_of_ours()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let prefix = stage.target.prefix.clone();
    let beside = ["php-8.2", "php-8.3", "php-8.4", "php-8.5"].map(|name| prefix.with_file_name(name));
    let other = beside.iter().find(|other| **other != prefix && other.join("bin/php-cgi").exists());
    let (Some(other), Door::Patched) = (other, stage.target.door) else {
        skip("no second patched PHP beside the prefix");
        return Ok(());
    };
    assemble(&mut stage, other, &prefix)?;
    let ran = stage.run(&["-F"])?;
    ensure!(!stage.sandbox.file("fpm.sock").exists(), "something was started: {}", ran.text);
    ran.expect_refusal("cgi-fpm")
}

/// The library of a PHP in debug mode in a php-cgi without it, and the reverse, through both doors.
#[test]
fn other_mode() -> Outcome {
    let Some(mut stage) = stage_of_ours()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let Some(other) = std::env::var_os("CGI_FPM_OTHER_MODE").map(PathBuf::from) else {
        skip("CGI_FPM_OTHER_MODE isn't set (the stage `debug` of build-aux/test.sh sets it)");
        return Ok(());
    };
    let own = stage.target.prefix.clone();
    for (host, rest) in [(&own, &other), (&other, &own)] {
        assemble(&mut stage, host, rest)?;
        let mut patched = Command::new(stage.target.prefix.join("bin/php-cgi"));
        patched.arg("--fpm").arg("-F").arg("-y").arg(stage.sandbox.file("fpm.conf")).stdin(Stdio::null());
        run_to_end(&mut patched)?.expect_refusal("--enable-debug")?;
        let mut preloaded = Command::new(host.join("bin/php-cgi"));
        preloaded.arg("--fpm").arg("-F").arg("-y").arg(stage.sandbox.file("fpm.conf")).stdin(Stdio::null());
        preloaded.env("LD_PRELOAD", stage.target.prefix.join("lib/cgi-fpm.so"));
        run_to_end(&mut preloaded)?.expect_refusal("--enable-debug")?;
        ensure!(!stage.sandbox.file("fpm.sock").exists(), "something was started");
    }
    Ok(())
}

/// Through the stock door php.ini and conf.d are php-fpm's, if Debian's php-fpm is installed.
#[test]
fn stock_door_reads_the_ini_of_php_fpm() -> Outcome {
    let Some(stage) = stage_of_ours()? else { return Ok(()) };
    let dir = Path::new("/etc/php/8.2/fpm");
    if stage.target.door != Door::Stock || !dir.join("php.ini").exists() {
        skip("only for the stock door where Debian's php8.2-fpm is installed");
        return Ok(());
    }
    let mut command = Command::new(stage.target.program());
    command.arg("-i").envs(stage.target.environment()).stdin(Stdio::null());
    let ran = run_to_end(&mut command)?.expect(0, &["/etc/php/8.2/fpm/php.ini", "/etc/php/8.2/fpm/conf.d"])?;
    ensure!(!ran.text.contains("/etc/php/8.2/cgi/conf.d"), "php-cgi's own conf.d is named, too");
    Ok(())
}
