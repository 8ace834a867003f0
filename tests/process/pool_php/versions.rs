//! Pools of two PHP versions on one server, through both doors.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::sandbox::Sandbox;
use testkit::setup::Setup;
use testkit::target::{Door, Target, web_user};
use testkit::{Outcome, ensure, skip, turn};

use super::{ask, section, start, start_with, version};

/// The page that tells error_reporting, and who is asked.
fn put_pages(sandbox: &Sandbox) -> Outcome {
    sandbox.put(
        "www/level.php",
        "<?php echo ini_get('error_reporting') === (string) E_ALL ? 'all' : ini_get('error_reporting');\n",
    )
}

/// A copy of php-cgi with its library, as a patched php-cgi finds it.
fn copy(sandbox: &Sandbox, prefix: &Path) -> Outcome<PathBuf> {
    for name in ["bin/php-cgi", "lib/cgi-fpm.so"] {
        let to = sandbox.file("other").join(name);
        fs::create_dir_all(to.parent().ok_or("no parent")?)?;
        fs::copy(prefix.join(name), to.with_extension("new"))?;
        fs::rename(to.with_extension("new"), to)?;
    }
    Ok(sandbox.file("other/bin/php-cgi"))
}

/// Requests through both, a reload, the death of a zygote, and an upgrade of one pool's PHP at a reload.
#[test]
fn two_versions_serve_side_by_side() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let Some(other) = target.other_version() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    put_pages(&sandbox)?;
    let program = copy(&sandbox, &other)?;
    let user = web_user().unwrap_or_default();
    let level = "php_value[error_reporting] = E_ALL";
    let theirs =
        section("theirs", user, &format!("process.php = {}\nprocess.php_ini = none\n{level}", program.display()));
    let server = start(&target, sandbox, "ours", &[section("ours", user, level), theirs])?;
    let (ours, theirs) = (version(&server, "ours")?, version(&server, "theirs")?);
    ensure!(ours != theirs, "both are {ours}");
    for pool in ["ours", "theirs"] {
        let seen = ask(&server, pool, "level.php")?;
        ensure!(seen == "all", "pool {pool}: error_reporting is {seen}");
    }
    server.reload()?;
    ensure!(
        version(&server, "theirs")? == theirs && version(&server, "ours")? == ours,
        "other versions after a reload"
    );
    wait_until("the end of the former zygotes", ms(10_000), || server.zygotes().len() == 2)?;
    let (mine, killed) = (server.zygote_of("ours")?, server.zygote_of("theirs")?);
    killed.signal(Signal::SIGKILL);
    wait_until("another zygote", ms(10_000), || server.zygote_of("theirs").is_ok_and(|now| now.pid != killed.pid))?;
    wait_until("a worker of it", ms(10_000), || version(&server, "theirs").is_ok_and(|now| now == theirs))?;
    ensure!(server.zygote_of("ours")?.pid == mine.pid, "the other zygote ended too");
    // Another PHP at the same path: the reload asks it again.
    copy(&server.sandbox, &target.prefix)?;
    server.reload()?;
    ensure!(version(&server, "theirs")? == ours, "the former program serves after a reload");
    server.stop()
}

/// A php-cgi without our patch gets the library for its version that lies beside ours.
#[test]
fn a_stock_php_gets_the_library_beside_ours() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let stock = Path::new("/usr/bin/php-cgi8.2");
    if !stock.exists() || target.door != Door::Patched {
        skip("no Debian's php-cgi8.2, or it is the supervisor's");
        return Ok(());
    }
    let asked = Command::new(target.prefix.join("bin/php-config")).arg("--version").output()?;
    let is_82 = asked.stdout.starts_with(b"8.2.");
    let Some(other) = (if is_82 { Some(target.prefix.clone()) } else { target.other_version() }) else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let user = web_user().unwrap_or_default();
    let lines = format!("process.php = {}\nprocess.php_ini = none", stock.display());
    let pools = [section("ours", user, ""), section("stock", user, &lines)];
    fs::create_dir_all(sandbox.file("prefix/lib"))?;
    fs::copy(other.join("lib/cgi-fpm.so"), sandbox.file("prefix/lib/cgi-fpm-8.2.so"))?;
    fs::set_permissions(sandbox.file("prefix/lib/cgi-fpm-8.2.so"), fs::Permissions::from_mode(0o644))?;
    sandbox.put(
        "www/maps.php",
        "<?php echo preg_match('~cgi-fpm[^/]*[.]so~', file_get_contents('/proc/self/maps'), $m) ? $m[0] : '';\n",
    )?;
    let server = start_with(&target, sandbox, "ours", &pools, Setup::new(1).own_prefix())?;
    ensure!(version(&server, "stock")? == "8.2", "another version");
    let seen = ask(&server, "stock", "maps.php")?;
    ensure!(seen == "cgi-fpm-8.2.so", "it has {seen}");
    let seen = ask(&server, "ours", "maps.php")?;
    ensure!(seen == "cgi-fpm.so", "ours has {seen}");
    server.stop()
}

/// A library that is named goes into a patched php-cgi, too.
#[test]
fn a_library_may_be_named() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    fs::copy(target.prefix.join("lib/cgi-fpm.so"), sandbox.file("named.so"))?;
    let pool = section("own", web_user().unwrap_or_default(), "process.php_library = {{DIR}}/named.so");
    sandbox.put(
        "www/maps.php",
        "<?php echo preg_match('~named.so~', file_get_contents('/proc/self/maps')), getenv('LD_PRELOAD');\n",
    )?;
    let server = start(&target, sandbox, "own", &[pool])?;
    let seen = ask(&server, "own", "maps.php")?;
    ensure!(seen == "1", "{seen}");
    server.stop()
}
