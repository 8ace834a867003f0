//! If a step cannot be done, an error says so, and no worker serves.

use std::os::unix::fs::symlink;

use testkit::sandbox::Sandbox;
use testkit::seccomp::Refused;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{Ran, Stage, run_to_end};
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, skip, turn};

use super::section;

/// php-fpm's status for a wrong configuration.
const CONFIG: i32 = 78;
/// Our status if no worker can be set up; php-fpm starts and forks without end.
const SOFTWARE: i32 = 70;

/// The end of a server that cannot start. Its output contains the log.
fn ended(target: &Target, setup: &Setup, sandbox: &Sandbox) -> Outcome<Ran> {
    let conf = setup.conf(sandbox.path(), &Address::Unix(sandbox.file("fpm.sock")));
    sandbox.put("fpm.conf", &conf)?;
    sandbox.put("php.ini", &setup.php_ini(target, sandbox.path()))?;
    let mut command = setup.command(&target.program());
    setup.refuse(&mut command)?;
    command.args(["-F", "-O", "-y"]).arg(sandbox.file("fpm.conf")).arg("-c").arg(sandbox.file("php.ini"));
    command.args(&setup.options).envs(target.environment()).stdin(std::process::Stdio::null());
    run_to_end(&mut command)
}

/// Users and groups that are root's.
const OF_ROOT: [&str; 6] = [
    "user = root\ngroup = www-data",
    "user = 0\ngroup = www-data",
    "user = 000\ngroup = 33",
    "user = www-data\ngroup = root",
    "user = www-data\ngroup = 0",
    "user = 54321",
];

/// Root, under any name, is refused without `-R`; line and status equal php-fpm's.
#[test]
fn root() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for lines in OF_ROOT {
        for server in [&target, &target.partner()] {
            let sandbox = Sandbox::new()?;
            let setup = Setup::new(1).pool(&section(&sandbox, "other", lines));
            // Otherwise the other pool starts without this one.
            let setup = if server.is_ours() { setup.global("process.start_failure = stop") } else { setup };
            let ran = ended(server, &setup, &sandbox)?;
            ran.expect(CONFIG, &["ERROR: [pool other] please specify user and group other than root"])
                .map_err(|e| format!("{lines:?}, {}: {e}", server.program().display()))?;
        }
    }
    Ok(())
}

/// By default the other pools serve without those of root.
#[test]
fn others_serve_without_the_pools_of_root() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let pool = |(at, lines): (usize, &&str)| section(&sandbox, &format!("other{at}"), lines);
    let pools: String = OF_ROOT.iter().enumerate().map(pool).collect();
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool(&pools))?;
    server.says_hello(&server.address)?;
    for at in 0..OF_ROOT.len() {
        let reason = format!("[pool other{at}] please specify user and group other than root");
        let line = format!("ERROR: [group other{at}] could not be started: {reason}");
        ensure!(server.log.count(&line) == 1, "{line} isn't in: {}", server.log.text());
        ensure!(server.zygotes_of(&format!("other{at}")).is_empty(), "a group of root's has started");
    }
    server.stop()
}

/// A step that fails ends the start, with php-fpm's line.
#[test]
fn steps() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let without = |right: &str| ["setpriv".to_owned(), format!("--bounding-set=-{right}")];
    for (right, lines, status, line) in [
        ("setgid", "", SOFTWARE, "[pool www] failed to setgid(33): Operation not permitted (1)"),
        ("setuid", "", SOFTWARE, "[pool www] failed to setuid(33): Operation not permitted (1)"),
        ("sys_chroot", "chroot = /usr", SOFTWARE, "[pool www] failed to chroot(/usr): Operation not permitted (1)"),
        (
            "sys_nice",
            "process.priority = -5",
            SOFTWARE,
            "[pool www] Unable to set priority for this new process: Permission denied (13)",
        ),
        (
            "sys_nice",
            "[global]\nprocess.priority = -5",
            CONFIG,
            "Unable to set priority for the master process: Permission denied (13)",
        ),
        (
            "sys_resource",
            "[global]\nrlimit_files = 2000000000",
            CONFIG,
            "Please check your system limits or decrease rlimit_files. setrlimit(RLIMIT_NOFILE, 2000000000): Operation not permitted (1)",
        ),
    ] {
        let sandbox = Sandbox::new()?;
        let words = without(right);
        let setup = Setup::new(1).pool(lines).under(&[&words[0], &words[1]]);
        ended(&target, &setup, &sandbox)?.expect(status, &[line])?;
    }
    Ok(())
}

/// A chdir to a directory that exists outside of the chroot, but not in it.
#[test]
fn directory_below_the_root() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    symlink("/usr", sandbox.file("www/elsewhere"))?;
    let lines = format!("chroot = {}\nchdir = /elsewhere", sandbox.file("www").display());
    let line = "[pool www] failed to chdir(/elsewhere): No such file or directory (2)";
    ended(&target, &Setup::new(1).pool(&lines), &sandbox)?.expect(SOFTWARE, &[line])?;
    Ok(())
}

/// Calls that claim to have changed the user, but have not: no worker serves. php-fpm's workers would be root.
#[test]
fn pretended() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (call, fault) in [
        (libc::SYS_setuid, "the process did not become user 33: its user ids are [0, 0, 0]"),
        (libc::SYS_setgid, "the process did not become user 33: its group ids are [0, 0, 0] in place of 33"),
        (libc::SYS_setgroups, "the process did not become user 33: its supplementary groups are"),
    ] {
        // Either the zygote or each worker changes to the user.
        for group in [
            "",
            "process.group = mixed\n[other]\nuser = nobody\nprocess.group = mixed\npm = ondemand\npm.max_children = 1",
        ] {
            let sandbox = Sandbox::new()?;
            let listen = if group.is_empty() {
                String::new()
            } else {
                format!("\nlisten = {}", sandbox.file("other.sock").display())
            };
            let setup = Setup::new(1).pool(&format!("{group}{listen}")).refused(&[Refused::call(call).pretended()]);
            ended(&target, &setup, &sandbox)?.expect(SOFTWARE, &["[pool www]", fault])?;
        }
    }
    Ok(())
}

/// Without AppArmor a worker cannot change its hat, and no worker serves without it.
#[test]
fn hat_without_apparmor() -> Outcome {
    let Some(stage) = Stage::find_ours(1)? else { return Ok(()) };
    let _turn = turn::shared()?;
    let confinement = std::fs::read_to_string("/proc/self/attr/current");
    if confinement.is_ok() {
        skip("some security module is active");
        return Ok(());
    }
    stage.sandbox.put("fpm.conf", &format!("{}apparmor_hat = web\n", stage.conf))?;
    let ran = stage.run(&["-F", "-O"])?;
    let ran = ran.expect(SOFTWARE, &["ERROR: [pool www] failed to query apparmor confinement. Please check if "])?;
    ensure!(!ran.text.contains("ready to handle connections"), "{}", ran.text);
    Ok(())
}
