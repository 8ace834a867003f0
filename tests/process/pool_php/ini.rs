//! Pools with php.ini files of their own: what counts, who reads them, and what a reload does.
#![forbid(unsafe_code)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use super::{ask, configure, expect, section, start, start_with, version};
use testkit::sandbox::Sandbox;
use testkit::setup::Setup;
use testkit::stage::run_in;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

/// Each pool has what it says itself, and otherwise what the command line says.
#[test]
fn the_pools_own_settings_win() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("a.ini", "memory_limit = 71M\nprecision = 7\nown.name = a\n")?;
    for dir in ["a.d", "ini"] {
        fs::create_dir(sandbox.file(dir))?;
    }
    sandbox.put("a.d/one.ini", "precision = 9\n")?;
    sandbox.put("ini/php.ini", "memory_limit = 72M\n")?;
    let user = web_user().unwrap_or_default();
    let pools = [
        section(
            "all",
            user,
            "process.php_ini = {{DIR}}/$pool.ini\nprocess.php_ini_scan_dir = {{DIR}}/a.d\nprocess.php_define[own.name] = \"it's ${x};\\\"\"",
        )
        .replace("$pool", "a"),
        section("dir", user, "process.php_ini = {{DIR}}/ini\nprocess.php_ini_scan_dir = none\nprocess.php_define[precision] = 11"),
        section("none", user, "process.php_ini = none"),
        section("scan", user, "process.php_ini = none\nprocess.php_ini_scan_dir = {{DIR}}/a.d"),
        section("plain", user, "process.php_ini_scan_dir = none"),
    ];
    // The command line: a php.ini of the testkit, and this.
    let setup = Setup::new(1).option("-d").option("precision=6").option("-d").option("own.name=line");
    let server = start_with(&target, sandbox, "all", &pools, setup)?;
    server.sandbox.put("php.ini", "memory_limit = 70M\n")?;
    server.reload()?;
    let php = version(&server, "all")?;
    expect(&server, "all", &format!(r#"["{php}","/a.ini","/a.d/one.ini","71M","6","it's ;\"",""]"#))?;
    expect(&server, "dir", &format!(r#"["{php}","/ini/php.ini","","72M","11","line",""]"#))?;
    expect(&server, "none", &format!(r#"["{php}","","","128M","6","line",""]"#))?;
    expect(&server, "scan", &format!(r#"["{php}","","/a.d/one.ini","128M","6","line",""]"#))?;
    expect(&server, "plain", &format!(r#"["{php}","/php.ini","","70M","6","line",""]"#))?;
    server.stop()
}

/// A reload reads changed files and changed directives; pools with equal settings share a zygote.
#[test]
fn a_reload_reads_them_again() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("a.ini", "memory_limit = 71M\n")?;
    sandbox.put("b.ini", "memory_limit = 72M\n")?;
    let user = web_user().unwrap_or_default();
    let pool = |name: &str, ini: &str| {
        section(name, user, &format!("process.php_ini = {{{{DIR}}}}/{ini}\nprocess.php_ini_scan_dir = none"))
    };
    let server = start(&target, sandbox, "one", &[pool("one", "a.ini"), pool("two", "b.ini"), pool("three", "a.ini")])?;
    let php = version(&server, "one")?;
    let facts = |ini: &str, limit: &str| format!(r#"["{php}","/{ini}","","{limit}","14",false,""]"#);
    for (name, ini, limit) in [("one", "a.ini", "71M"), ("two", "b.ini", "72M"), ("three", "a.ini", "71M")] {
        expect(&server, name, &facts(ini, limit))?;
    }
    ensure!(server.zygotes().len() == 2, "{} zygotes", server.zygotes().len());
    server.sandbox.put("b.ini", "memory_limit = 73M\n")?;
    configure(&server, &[pool("one", "b.ini"), pool("two", "b.ini"), pool("three", "a.ini")])?;
    server.reload()?;
    expect(&server, "one", &facts("b.ini", "73M"))?;
    expect(&server, "two", &facts("b.ini", "73M"))?;
    expect(&server, "three", &facts("a.ini", "71M"))?;
    server.stop()
}

/// Sections for directories and .user.ini work as in the php.ini of the command line.
#[test]
fn sections_and_user_ini_count() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    fs::create_dir(sandbox.file("www/deep"))?;
    let page = "<?php echo ini_get('precision'), ' ', ini_get('memory_limit'), ' ', basename((string) php_ini_loaded_file());\n";
    sandbox.put("www/page.php", page)?;
    sandbox.put("www/deep/page.php", page)?;
    sandbox.put("www/deep/.own.ini", "memory_limit = 73M\n")?;
    sandbox.put("www/deep/.user.ini", "memory_limit = 74M\n")?;
    let deep = sandbox.file("www/deep").display().to_string();
    sandbox.put("a.ini", &format!("user_ini.filename = .own.ini\nprecision = 5\n[PATH={deep}]\nprecision = 9\n"))?;
    let user = web_user().unwrap_or_default();
    let pools = [
        section("own", user, "process.php_ini = {{DIR}}/a.ini\nprocess.php_ini_scan_dir = none"),
        section("plain", user, ""),
    ];
    let server = start(&target, sandbox, "own", &pools)?;
    for (pool, page, wanted) in [
        ("own", "page.php", "5 128M a.ini"),
        ("own", "deep/page.php", "9 73M a.ini"),
        ("plain", "deep/page.php", "14 74M php.ini"),
    ] {
        let seen = ask(&server, pool, page)?;
        ensure!(seen == wanted, "pool {pool}, {page}: {seen}");
    }
    server.stop()
}

/// What only root may read counts, and no script sees it: in files and by descriptors.
#[test]
fn only_root_may_read_it() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("a.ini", "; SECRET\nmemory_limit = 71M\n")?;
    fs::create_dir(sandbox.file("a.d"))?;
    sandbox.put("a.d/one.ini", "; SECRET\nprecision = 9\n")?;
    for (name, mode) in [("a.ini", 0o600), ("a.d/one.ini", 0o600), ("a.d", 0o700)] {
        fs::set_permissions(sandbox.file(name), Permissions::from_mode(mode))?;
    }
    sandbox.put(
        "www/look.php",
        r#"<?php
$names = array_merge([php_ini_loaded_file()], array_map('trim', explode(',', (string) php_ini_scanned_files())));
$texts = array_map(fn($name) => (string) @file_get_contents($name), $names);
foreach (range(3, 255) as $fd) $texts[] = (string) @file_get_contents("/proc/self/fd/$fd", false, null, 0, 4096);
echo ini_get('memory_limit'), ' ', ini_get('precision'), ' ', count(preg_grep('/SEC' . 'RET/', $texts));
"#,
    )?;
    let lines = "process.php_ini = {{DIR}}/a.ini\nprocess.php_ini_scan_dir = {{DIR}}/a.d";
    let server = start(&target, sandbox, "own", &[section("own", "2001", lines)])?;
    for _ in 0..2 {
        let seen = ask(&server, "own", "look.php")?;
        ensure!(seen == "71M 9 0", "{seen}");
        server.reload()?;
    }
    server.stop()
}

/// A php.ini that a user can change is read with the rights of the pool's user: a link in its place gives nothing of root's.
#[test]
fn a_users_own_is_read_as_the_user() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    fs::create_dir(sandbox.file("home"))?;
    sandbox.put("home/php.ini", "memory_limit = 71M\n")?;
    for name in ["home", "home/php.ini"] {
        chown(sandbox.file(name), Some(2001), Some(2001))?;
    }
    sandbox.put("secret", "own.name = SECRET\n")?;
    fs::set_permissions(sandbox.file("secret"), Permissions::from_mode(0o600))?;
    let lines = "process.php_ini = {{DIR}}/home/php.ini\nprocess.php_ini_scan_dir = none";
    let pools = [section("own", "2001", lines), section("plain", "2002", "")];
    let server = start(&target, sandbox, "own", &pools)?;
    let php = version(&server, "own")?;
    expect(&server, "own", &format!(r#"["{php}","/home/php.ini","","71M","14",false,""]"#))?;
    fs::remove_file(server.sandbox.file("home/php.ini"))?;
    symlink("../secret", server.sandbox.file("home/php.ini"))?;
    let said = format!("process.php_ini = {}: Permission denied", server.sandbox.file("home/php.ini").display());
    let tested = run_in(&target, &server.sandbox, &["-t", "-y", "fpm.conf"])?;
    let tested = tested.expect(78, &[&format!("ERROR: [pool own] {said}")])?;
    ensure!(!tested.text.contains("SECRET"), "{}", tested.text);
    // The pool cannot start with it; root does not read it for the pool.
    let mark = server.log.mark();
    server.supervisor.signal(nix::sys::signal::Signal::SIGUSR2);
    server.log.wait_for(mark, &[&said], testkit::clock::ms(20_000))?;
    let seen = ask(&server, "own", "facts.php")?;
    ensure!(!seen.contains("SECRET"), "{seen}");
    drop(server);
    Ok(())
}

/// Where PHP starts as root, because its zygote is of several users, php.ini must be root's.
#[test]
fn a_users_own_is_not_read_as_root() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("a.ini", "")?;
    chown(sandbox.file("a.ini"), Some(2001), None)?;
    let dir = sandbox.path().display().to_string();
    let pool = |name: &str, user: &str| section(name, user, "process.group = g\nprocess.php_ini = {{DIR}}/a.ini");
    let conf = format!("{}{}{}", super::GLOBAL, pool("one", "2001"), pool("two", "2002"));
    sandbox.configure(&conf)?;
    let said = format!("[pool one] process.php_ini = {dir}/a.ini: user 2001 can change this file");
    run_in(&target, &sandbox, &["-t", "-y", "fpm.conf"])?.expect(78, &[&said, "chown root"])?;
    let started = run_in(&target, &sandbox, &["-F", "-y", "fpm.conf"])?;
    ensure!(started.status.is_some_and(|status| status != 0), "{}", started.text);
    ensure!(fs::read_to_string(sandbox.file("fpm.log"))?.contains(&said), "{}", started.text);
    Ok(())
}
