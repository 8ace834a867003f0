//! The same directives under php-fpm and under ours: a worker of each pool reports its identity.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;

use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::{Target, as_root};
use testkit::{Outcome, ensure, netns, turn};

use super::{facts, section};

const WEB: &str = "user = www-data\ngroup = www-data";

/// Pools by name, with their lines; `{sandbox}` is the sandbox. The script of a pool with a chroot lies in the
/// chroot.
type Pools<'a> = &'a [(&'a str, &'a str)];

/// The reports of a worker of each pool, and facts about the supervisor.
fn told(target: &Target, pools: Pools<'_>, setup: impl Fn(&Sandbox) -> Setup) -> Outcome<Vec<String>> {
    let sandbox = Sandbox::new()?;
    prepare(&sandbox)?;
    let mut setup = setup(&sandbox);
    for (name, lines) in pools {
        let lines = lines.replace("{sandbox}", &sandbox.path().display().to_string());
        // php-fpm has one process group for all.
        let known = |line: &&str| target.is_ours() || !line.starts_with("process.group");
        let lines = lines.lines().filter(known).collect::<Vec<_>>().join("\n");
        setup = setup.pool(&section(&sandbox, name, &lines));
    }
    let server = Server::start_in(sandbox, target, &setup)?;
    let mut told = vec![own(&server)];
    for (name, lines) in pools {
        let page =
            if lines.contains("chroot") { PathBuf::from("/www/self.php") } else { server.sandbox.page("self.php") };
        told.push(format!("[{name}]\n{}", facts(&server.sandbox, name, &page)?));
    }
    server.stop()?;
    Ok(told)
}

/// The supervisor's nice value and core limit. Its number of descriptors may differ.
fn own(server: &Server) -> String {
    let supervisor = server.supervisor;
    format!("[supervisor]\nnice {}\n{}\n", supervisor.nice(), supervisor.limit("Max core file size"))
}

/// Directories that only root can enter, and a root directory below one.
fn prepare(sandbox: &Sandbox) -> Outcome {
    let jail = sandbox.file("closed/jail");
    fs::create_dir_all(jail.join("www"))?;
    fs::create_dir(sandbox.file("closed/inner"))?;
    fs::copy(sandbox.page("self.php"), jail.join("www/self.php"))?;
    // Any user may write here, so that a page can show which user wrote it.
    fs::set_permissions(sandbox.file("out"), fs::Permissions::from_mode(0o1777))?;
    Ok(fs::set_permissions(sandbox.file("closed"), fs::Permissions::from_mode(0o700))?)
}

fn compare(target: &Target, pools: Pools<'_>, setup: impl Fn(&Sandbox) -> Setup) -> Outcome<Vec<String>> {
    let ours = told(target, pools, &setup)?;
    let theirs = told(&target.partner(), pools, &setup)?;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        ensure!(ours == theirs, "-- ours --\n{ours}\n-- php-fpm's --\n{theirs}");
    }
    Ok(ours)
}

fn umask_of_group(setup: Setup) -> Setup {
    setup.under(&["sh", "-c", "umask 027; exec \"$@\"", "sh"])
}

/// Users and groups by name and by number, also unknown ones; supplementary groups; umask.
#[test]
fn users() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    if !netns::inside_with_groups("first:x:70001:www-data\nsecond:x:70002:www-data,nobody\n")? {
        return Ok(());
    }
    let pools: Pools<'_> = &[
        ("named", WEB),
        ("user_alone", "user = nobody"),
        ("numbers", "user = 65534\ngroup = 33"),
        ("known_number", "user = 33\ngroup = 33"),
        ("unknown", "user = 54321\ngroup = 54322"),
        ("together", "user = games\ngroup = 70001\nprocess.group = mixed"),
        ("with", "user = man\ngroup = second\nprocess.group = mixed"),
        ("environment", "user = nobody\ngroup = nogroup\nenv[HOME] = /srv"),
    ];
    let told = compare(&target, pools, |_| umask_of_group(Setup::new(1)))?;
    let named = told.get(1).map_or("", String::as_str);
    for line in ["Groups: 33 70001 70002", "Umask: 0027", "CapEff: 0000000000000000", "made 100640 by 33, 33"] {
        ensure!(named.contains(line), "{line} isn't in: {named}");
    }
    Ok(())
}

/// Operations that need root's rights in a zygote that has dropped them.
#[test]
fn settings() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let directory = |name: &str, line: &str| (name.to_owned(), format!("{WEB}\nprocess.group = {name}\n{line}"));
    let pools = [
        directory("plain", ""),
        directory("nice", "process.priority = 5"),
        directory("urgent", "process.priority = -3"),
        directory("dumpable", "process.dumpable = yes"),
        directory("files", "rlimit_files = 300"),
        directory("core", "rlimit_core = 4096"),
        directory("directory", "chdir = {sandbox}/out"),
        directory("below_closed", "chdir = {sandbox}/closed/inner"),
        directory("closed", "chdir = {sandbox}/closed"),
        directory("jail", "chroot = {sandbox}/closed/jail"),
        directory("jail_directory", "chroot = {sandbox}/closed/jail\nchdir = /www"),
        directory(
            "all",
            "chroot = {sandbox}/closed/jail\nrlimit_files = 300\nprocess.priority = -1\nprocess.dumpable = yes",
        ),
    ];
    let pools: Vec<(&str, &str)> = pools.iter().map(|(name, lines)| (name.as_str(), lines.as_str())).collect();
    let told = compare(&target, &pools, |_| Setup::new(1))?;
    for (pool, line) in [
        ("[nice]", "nice 5"),
        ("[urgent]", "nice -3"),
        ("[dumpable]", "environ of 33"),
        ("[plain]", "environ of 0"),
        ("[files]", "Max open files 300 300"),
        ("[core]", "Max core file size 4096 4096"),
        ("[jail]", "in the root www"),
    ] {
        let said = told.iter().find(|text| text.starts_with(pool)).map_or("", String::as_str);
        ensure!(said.contains(line), "{line} isn't in: {said}");
    }
    Ok(())
}

/// `[global]` applies to all pools, and a pool's own value overrides it; also after a reload.
#[test]
fn global() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let setup = |_: &Sandbox| Setup::new(1).global("rlimit_files = 700\nrlimit_core = 8192\nprocess.priority = 3");
    let own = format!("{WEB}\nrlimit_files = 300\nrlimit_core = 4096\nprocess.priority = 6");
    let pools: Pools<'_> = &[("inherits", WEB), ("own", &own), ("back", &format!("{WEB}\nprocess.priority = -2"))];
    let told = compare(&target, pools, setup)?;
    for (pool, line) in [
        ("[supervisor]", "nice 3"),
        ("[supervisor]", "8192 8192"),
        ("[inherits]", "Max open files 700 700"),
        ("[inherits]", "nice 3"),
        ("[own]", "Max core file size 4096 4096"),
        ("[back]", "nice -2"),
    ] {
        let said = told.iter().find(|text| text.starts_with(pool)).map_or("", String::as_str);
        ensure!(said.contains(line), "{line} isn't in: {said}");
    }
    let sandbox = Sandbox::new()?;
    prepare(&sandbox)?;
    let section = section(&sandbox, "inherits", WEB);
    let server = Server::start_in(sandbox, &target, &setup(&Sandbox::new()?).pool(&section))?;
    server.sandbox.put("fpm.conf", &server.conf.replace("= 700", "= 600").replace("process.priority = 3", ""))?;
    server.reload()?;
    let page = server.sandbox.page("self.php");
    let said = facts(&server.sandbox, "inherits", &page)?;
    ensure!(said.contains("Max open files 600 600") && said.contains("nice 3"), "after a reload: {said}");
    server.stop()
}

/// Without root the directives that need it have no effect, and a notice says so.
#[test]
fn without_root() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools: Pools<'_> = &[
        ("plain", ""),
        ("ignored", "user = games\ngroup = games\nprocess.priority = 7"),
        ("dumpable", "process.dumpable = yes"),
        ("limits", "rlimit_files = 300\nrlimit_core = 4096"),
        ("directory", "chdir = {sandbox}/out"),
    ];
    let setup =
        |sandbox: &Sandbox| as_nobody(sandbox, Setup::new(1).global("process.priority = 4\nrlimit_core = 8192"));
    let told = compare(&target, pools, setup)?;
    ensure!(told.iter().all(|text| !text.contains("nice 7")), "{told:?}");
    Ok(())
}

/// The tests of root run this as the user nobody, who owns the sandbox.
pub(super) fn as_nobody(sandbox: &Sandbox, setup: Setup) -> Setup {
    if !as_root() {
        return setup;
    }
    let _ = chown(sandbox.path(), Some(65534), Some(65534));
    let words = [
        "setpriv",
        "--reuid",
        "nobody",
        "--regid",
        "nogroup",
        "--clear-groups",
        "--bounding-set=-all",
        "--no-new-privs",
    ];
    setup.pool("listen.owner = nobody\nlisten.group = nogroup").under(&words)
}

/// With `-R` root keeps its user, and its group and groups if the pool does not name others.
#[test]
fn allowed_root() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools: Pools<'_> = &[
        ("root", "user = root\ngroup = root"),
        ("nobody_named", ""),
        ("group_alone", "group = www-data"),
        ("group_root", "user = www-data\ngroup = root"),
        ("unknown", "user = 54321"),
    ];
    let told = compare(&target, pools, |_| Setup::new(1).option("-R"))?;
    ensure!(told.iter().any(|text| text.starts_with("[group_alone]") && text.contains("Gid: 33 33 33 33")), "{told:?}");
    Ok(())
}

/// A zygote has no capability left, whatever its pools need root's rights for. Only where `process.group` joins pools
/// with different root directories, it keeps what its workers need, and nothing effective.
#[test]
fn zygotes_keep_nothing() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    prepare(&sandbox)?;
    let dir = sandbox.path().display().to_string();
    let own = |name: &str, line: &str| section(&sandbox, name, &format!("{WEB}\nprocess.group = {name}\n{line}"));
    let setup = Setup::new(1)
        .pool(&own("plain", &format!("process.priority = 4\nrlimit_files = 300\nchdir = {dir}/out")))
        .pool(&own("closed", &format!("chdir = {dir}/closed/inner")))
        .pool(&own("jail", &format!("chroot = {dir}/closed/jail")))
        .pool(&own("open_jail", &format!("chroot = {dir}/www")))
        .pool(&own("urgent", "process.priority = -4"))
        .pool(&own("several", &format!("chroot = {dir}/closed/jail")))
        .pool(&section(&sandbox, "several2", &format!("{WEB}\nprocess.group = several\nprocess.priority = -4")));
    let server = Server::start_in(sandbox, &target, &setup)?;
    const SEARCH: u64 = 1 << 2;
    const CHROOT: u64 = 1 << 18;
    const NICE: u64 = 1 << 23;
    for (group, wanted) in [
        ("www", 0),
        ("plain", 0),
        ("closed", 0),
        ("jail", 0),
        ("open_jail", 0),
        ("urgent", 0),
        ("several", SEARCH | CHROOT | NICE),
    ] {
        let zygote = server.zygote_of(group)?;
        ensure!(capabilities(zygote, "CapPrm")? == wanted, "{group}: {:?}", zygote.status("CapPrm"));
        for set in ["CapEff", "CapInh", "CapAmb"] {
            ensure!(capabilities(zygote, set)? == 0, "{group}, {set}: {:?}", zygote.status(set));
        }
    }
    for worker in server.workers() {
        for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
            ensure!(capabilities(worker, set)? == 0, "{}, {set}: {:?}", worker.title(), worker.status(set));
        }
    }
    server.stop()
}

pub(super) fn capabilities(process: Process, set: &str) -> Outcome<u64> {
    let words = process.status(set);
    Ok(u64::from_str_radix(words.first().ok_or("no such set")?, 16)?)
}
