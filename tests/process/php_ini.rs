//! php.ini and similar files that only root may read: they are read as php-fpm reads them, and no script can see
//! them. An error before the start names files that PHP cannot read as the pools' user.
#![forbid(unsafe_code)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use nix::sys::signal::Signal;
use testkit::clock::ms;
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::Stage;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Whether a script can read php.ini: by its name, or by a descriptor that was left open.
const FACTS: &str = r#"<?php
$files = array_filter(array_merge([php_ini_loaded_file()], array_map('trim', explode(',', (string) php_ini_scanned_files()))));
$open = array_map(fn($fd) => @file_get_contents("/proc/self/fd/$fd", false, null, 0, 4096), range(3, 255));
$seen = array_filter(array_merge(array_map(fn($f) => @file_get_contents($f), $files), $open), fn($t) => strpos((string) $t, 'SEC' . 'RET') !== false);
echo json_encode([
    ini_get('memory_limit'), ini_get('precision'), get_cfg_var('own.name'), function_exists('exec'),
    array_map(fn($f) => str_replace(dirname(__DIR__), '', $f), $files), count($seen),
], JSON_UNESCAPED_SLASHES);
"#;

const TEXT: &str = "; SECRET\ndisable_functions = exec\nmemory_limit = 99M\n";

fn close(sandbox: &Sandbox, name: &str, mode: u32) -> Outcome {
    Ok(fs::set_permissions(sandbox.file(name), Permissions::from_mode(mode))?)
}

fn put(sandbox: &Sandbox, name: &str, text: &str, mode: u32) -> Outcome {
    let path = sandbox.file(name);
    fs::create_dir_all(path.parent().ok_or("no parent")?)?;
    fs::write(path, text)?;
    close(sandbox, name, mode)
}

/// Where php.ini is, which directory is scanned, how both are protected, and what a script then sees of own.name and
/// of the names.
type Case = (&'static str, &'static str, fn(&Sandbox) -> Outcome, &'static str);

const CASES: [Case; 4] = [
    // Files.
    (
        "php-own.ini",
        "conf.d",
        |sandbox| {
            put(sandbox, "php-own.ini", TEXT, 0o600)?;
            put(sandbox, "conf.d/a.ini", "; SECRET\nprecision = 7", 0o600)?;
            put(sandbox, "conf.d/b.ini", "; SECRET\nown.name = b", 0o640)
        },
        r#"["99M","7","b",false,["/php-own.ini","/conf.d/a.ini","/conf.d/b.ini"],0]"#,
    ),
    // Directories, and links into one as Debian has them; the SAPI's own file precedes php.ini.
    (
        "ini",
        "conf.d",
        |sandbox| {
            put(sandbox, "ini/php-fpm-fcgi.ini", TEXT, 0o644)?;
            put(sandbox, "ini/php.ini", "memory_limit = 1G", 0o644)?;
            put(sandbox, "mods/a.ini", "; SECRET\nprecision = 7", 0o600)?;
            fs::create_dir(sandbox.file("conf.d"))?;
            symlink("../mods/a.ini", sandbox.file("conf.d/10-a.ini"))?;
            close(sandbox, "ini", 0o700)?;
            close(sandbox, "mods", 0o700)?;
            close(sandbox, "conf.d", 0o700)
        },
        r#"["99M","7",false,false,["/ini/php-fpm-fcgi.ini","/conf.d/10-a.ini"],0]"#,
    ),
    // Below a directory, and with several directories to scan.
    (
        "top/etc/php.ini",
        "top/one:two:nowhere",
        |sandbox| {
            put(sandbox, "top/etc/php.ini", TEXT, 0o644)?;
            put(sandbox, "top/one/a.ini", "; SECRET\nprecision = 7", 0o644)?;
            put(sandbox, "two/a.ini", "; SECRET\nown.name = ${precision}x", 0o600)?;
            close(sandbox, "top", 0o700)
        },
        r#"["99M","7","7x",false,["/top/etc/php.ini","/top/one/a.ini","/two/a.ini"],0]"#,
    ),
    // Readable by every user.
    (
        "php-own.ini",
        "conf.d",
        |sandbox| {
            put(sandbox, "php-own.ini", &TEXT.replace("SECRET", "open"), 0o644)?;
            put(sandbox, "conf.d/a.ini", "precision = 7", 0o644)
        },
        r#"["99M","7",false,false,["/php-own.ini","/conf.d/a.ini"],0]"#,
    ),
];

/// Before and after a reload, in each worker.
#[test]
fn only_root_may_read_it() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (ini, scan, prepare, wanted) in CASES {
        let sandbox = Sandbox::new()?;
        prepare(&sandbox)?;
        let dir = sandbox.path().display().to_string();
        let scan = scan.split(':').map(|one| format!("{dir}/{one}")).collect::<Vec<_>>().join(":");
        let setup = Setup::new(2)
            .under(&["/usr/bin/env", &format!("PHP_INI_SCAN_DIR={scan}")])
            .option("-c")
            .option(&format!("{dir}/{ini}"));
        let server = Server::start_in(sandbox, &target, &setup)?;
        server.sandbox.put("www/facts.php", FACTS)?;
        let facts = || ask_once(&server.address, &Request::get(&server.sandbox.page("facts.php")), ms(10_000));
        for _ in 0..3 {
            let seen = facts()?;
            ensure!(seen == wanted, "{ini}, {scan}: {seen}");
        }
        server.reload()?;
        let seen = facts()?;
        ensure!(seen == wanted, "{ini}, {scan}: after a reload {seen}");
        server.stop()?;
    }
    Ok(())
}

/// `-n` and `-d` keep their meaning.
#[test]
fn options_hold() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    put(&sandbox, "php-own.ini", TEXT, 0o600)?;
    let ini = sandbox.file("php-own.ini").display().to_string();
    let setup = Setup::new(1).option("-c").option(&ini).option("-n").option("-d").option("memory_limit=77M");
    let server = Server::start_in(sandbox, &target, &setup)?;
    server.sandbox.put("www/facts.php", FACTS)?;
    let seen = ask_once(&server.address, &Request::get(&server.sandbox.page("facts.php")), ms(10_000))?;
    // With -n, a named file is still read, and no directory is scanned.
    ensure!(seen == r#"["77M","14",false,false,["/php-own.ini"],0]"#, "{seen}");
    server.stop()
}

/// A root without the capability to override modes still owns its files: in containers, under systemd, with a
/// security module.
#[test]
fn a_root_without_capabilities_reads_its_own() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    put(&sandbox, "ini/php.ini", TEXT, 0o600)?;
    close(&sandbox, "ini", 0o700)?;
    let ini = sandbox.file("ini").display().to_string();
    let under = ["/usr/bin/setpriv", "--bounding-set=-dac_override,-dac_read_search", "env", "PHP_INI_SCAN_DIR="];
    let server = Server::start_in(sandbox, &target, &Setup::new(1).under(&under).option("-c").option(&ini))?;
    server.sandbox.put("www/facts.php", FACTS)?;
    let seen = ask_once(&server.address, &Request::get(&server.sandbox.page("facts.php")), ms(10_000))?;
    ensure!(seen == r#"["99M","14",false,false,["/ini/php.ini"],0]"#, "{seen}");
    server.stop()
}

/// The commands that print php.ini to root print all of it.
#[test]
fn root_is_shown_all_of_it() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let stage = Stage::new(target, 1)?;
    fs::write(stage.sandbox.file("php.ini"), TEXT)?;
    close(&stage.sandbox, "php.ini", 0o600)?;
    stage.run(&["-i"])?.expect(0, &["memory_limit => 99M => 99M"])?;
    stage.run(&["-t"])?.expect(0, &["test is successful"])?;
    Ok(())
}

/// Settings that name a file which PHP needs at its start; `{}` is the file.
const NEEDED: [&str; 7] = [
    "extension = {}",
    "zend_extension = {}",
    "extension_dir = {DIR}/closed\nextension = file",
    "browscap = {}",
    "zend_extension = opcache\nopcache.preload = {}",
    "opcache.blacklist_filename = {DIR}/clo*/fi*",
    "ffi.preload = /nowhere:{}",
];

/// PHP under php-fpm reads them as root. Here no worker serves if they cannot be read, at a start and after a reload,
/// and `-t` says so.
#[test]
fn what_php_needs_must_be_readable() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let stage = Stage::new(target, 1)?;
    for (mode, directory) in [(0o600, 0o755), (0o644, 0o700)] {
        put(&stage.sandbox, "closed/file", "<?php\n", mode)?;
        put(&stage.sandbox, "closed/file.so", "no library", mode)?;
        close(&stage.sandbox, "closed", directory)?;
        let dir = stage.sandbox.path().display().to_string();
        for line in NEEDED {
            let line = line.replace("{}", &format!("{dir}/closed/file")).replace("{DIR}", &dir);
            fs::write(stage.sandbox.file("php.ini"), &line)?;
            let (setting, _) = line.lines().last().and_then(|line| line.split_once(" = ")).ok_or("no setting")?;
            let said = format!("{setting} = {dir}/closed/file: user www-data cannot read this");
            for options in [&["-t"][..], &["-F"]] {
                let ran = stage.run(options)?;
                let ran =
                    ran.expect(78, &["ERROR: ", &said, "chmod"]).map_err(|e| format!("{line}, {options:?}: {e}"))?;
                ensure!(!ran.text.contains("successful"), "{line}: {}", ran.text);
            }
        }
    }
    ensure!(!stage.sandbox.file("fpm.sock").exists(), "something was started");
    // If several users share one PHP, it starts as root.
    let other = format!(
        "[other]\nlisten = {}\nuser = nobody\npm = static\npm.max_children = 1\n",
        stage.sandbox.file("o").display()
    );
    let shared = stage.conf.replace("[global]", "[global]\nprocess.group = shared");
    stage.sandbox.put("fpm.conf", &format!("{shared}{other}"))?;
    stage.run(&["-t"])?.expect(0, &["test is successful"])?;
    Ok(())
}

/// A file that an unknown extension may read at its start causes a warning, not an error; files that scripts read are
/// not checked.
#[test]
fn what_may_be_needed_is_said() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let stage = Stage::new(target, 1)?;
    put(&stage.sandbox, "closed", "x", 0o600)?;
    let file = stage.sandbox.file("closed").display().to_string();
    let lines = format!("own.rules = {file}\nopenssl.cafile = {file}\nauto_prepend_file = {file}\nown.log = {file}\n");
    fs::write(stage.sandbox.file("php.ini"), lines)?;
    let ran = stage.run(&["-t"])?;
    let ran = ran.expect(
        0,
        &["WARNING: ", &format!("own.rules = {file}: user www-data cannot read this"), "test is successful"],
    )?;
    ensure!(ran.text.matches("cannot read").count() == 1, "{}", ran.text);
    Ok(())
}

/// A file becomes unreadable while the server runs: the reload is refused, and the workers continue. When it is
/// readable again, the reload succeeds.
#[test]
fn a_reload_is_refused() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    put(&sandbox, "browscap.ini", "[*]\nbrowser = any\n", 0o644)?;
    let file = sandbox.file("browscap.ini").display().to_string();
    let server = Server::start_in(sandbox, &target, &Setup::new(1).ini(&format!("browscap = {file}")))?;
    let ask = || ask_once(&server.address, &Request::get(&server.sandbox.page("pid.php")), ms(10_000));
    let before = ask()?;
    close(&server.sandbox, "browscap.ini", 0o600)?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    let said = format!("browscap = {file}: user www-data cannot read this");
    server.log.wait_for(mark, &["Reloading in progress", &said, "reload refused"], ms(20_000))?;
    ensure!(ask()? == before, "another worker serves");
    close(&server.sandbox, "browscap.ini", 0o644)?;
    server.reload()?;
    ensure!(ask()? != before, "the same worker serves");
    server.stop()
}
