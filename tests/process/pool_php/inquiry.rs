//! `-v`, `-i` and `-m` with `--pool`, and what `-t` says about a pool's php.ini.
#![forbid(unsafe_code)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::{GLOBAL, section};
use testkit::sandbox::Sandbox;
use testkit::stage::run_in;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

fn configured(pools: &str) -> Outcome<Sandbox> {
    let sandbox = Sandbox::new()?;
    sandbox.configure(&format!("{GLOBAL}{pools}"))?;
    Ok(sandbox)
}

#[test]
fn they_are_about_the_pool() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let user = web_user().unwrap_or_default();
    let own = section("own", user, "process.php_ini = {{DIR}}/own.ini\nprocess.php_define[precision] = 11");
    let sandbox = configured(&format!("{own}{}", section("plain", user, "")))?;
    sandbox.put("own.ini", "memory_limit = 71M\n")?;
    fs::set_permissions(sandbox.file("own.ini"), Permissions::from_mode(0o600))?;
    let run = |options: &[&str]| run_in(&target, &sandbox, options);
    let ini = sandbox.file("own.ini").display().to_string();
    let about = run(&["-y", "fpm.conf", "-i", "--pool=own"])?;
    about.expect(0, &["memory_limit => 71M => 71M", "precision => 11 => 11", &ini])?;
    let plain = run(&["-y", "fpm.conf", "-i", "--pool", "plain"])?.expect(0, &["memory_limit => "])?;
    ensure!(!plain.text.contains("71M"), "{}", plain.text);
    run(&["-m", "--pool=own", "-y", "fpm.conf"])?.expect(0, &["[PHP Modules]", "cgi-fcgi"])?;
    run(&["-v", "-y", "fpm.conf", "--pool=own"])?.expect(0, &["(fpm-fcgi)"])?;
    run(&["-y", "fpm.conf", "-i", "--pool=other"])?.expect(78, &["there is no pool 'other' in fpm.conf"])?;
    run(&["-y", "fpm.conf", "--pool=own"])?.expect(64, &["Usage"])?;
    Ok(())
}

/// PHP starts as the pool's user: what is printed is what its scripts find.
#[test]
fn they_run_as_the_pools_user() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let preload =
        "process.php_define[zend_extension] = opcache\nprocess.php_define[opcache.preload] = {{DIR}}/preload.php";
    let sandbox = configured(&section("own", "2001", preload))?;
    sandbox.put("preload.php", "<?php file_put_contents(__DIR__ . '/out/uid', posix_getuid());\n")?;
    fs::set_permissions(sandbox.file("out"), Permissions::from_mode(0o777))?;
    let ran = run_in(&target, &sandbox, &["-y", "fpm.conf", "-i", "--pool=own"])?;
    ensure!(ran.status == Some(0), "{:.2000}", ran.text);
    let uid = fs::read_to_string(sandbox.file("out/uid"))?;
    ensure!(uid == "2001", "preloaded as {uid}");
    Ok(())
}

/// `-t` checks what the pools' own php.ini files name, as their users.
#[test]
fn the_test_of_the_configuration_looks_into_each() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let own = |name: &str, user| section(name, user, "process.php_ini = {{DIR}}/$pool.ini").replace("$pool", name);
    let sandbox = configured(&format!("{}{}{}", own("one", "2001"), own("two", "2002"), section("plain", "2003", "")))?;
    sandbox.put("one.ini", "")?;
    let file = sandbox.file("browscap.ini").display().to_string();
    sandbox.put("two.ini", &format!("browscap = {file}\n"))?;
    sandbox.put("browscap.ini", "")?;
    run_in(&target, &sandbox, &["-t", "-y", "fpm.conf"])?.expect(0, &["test is successful"])?;
    fs::set_permissions(sandbox.file("browscap.ini"), Permissions::from_mode(0o600))?;
    let ran = run_in(&target, &sandbox, &["-t", "-y", "fpm.conf"])?;
    let ran = ran.expect(78, &[&format!("browscap = {file}: user 2002 cannot read this")])?;
    ensure!(!ran.text.contains("2001") && !ran.text.contains("2003"), "{}", ran.text);
    fs::remove_file(sandbox.file("two.ini"))?;
    let said = format!("[pool two] process.php_ini = {}: No such file", sandbox.file("two.ini").display());
    run_in(&target, &sandbox, &["-t", "-y", "fpm.conf"])?.expect(78, &[&said])?;
    Ok(())
}
