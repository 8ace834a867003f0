//! What only root may read stays secret with a base zygote: the base zygote and the processes of other users never have it in their
//! memory, and a php.ini that is not for all is not read by a base zygote for them.

use std::fs::{self, File, Permissions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};

use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::{Server, is_worker};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{ask, base, start};

/// In the configuration of one pool, in a file that only root can read.
const SECRETS: [&str; 3] = ["Kq7-environment-3bx", "Kq7-admin-value-3bx", "Kq7-flag-of-script-3bx"];

const PAGE: usize = 4096;

/// The secrets in a process's memory, as far as pages of it are present.
fn secrets_of(process: Process) -> Outcome<String> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", process.pid))?;
    let [memory, pages] = ["mem", "pagemap"].map(|name| File::open(format!("/proc/{}/{name}", process.pid)));
    let (memory, pages) = (memory?, pages?);
    let mut command = Command::new("grep");
    command.args(["-aoF"]).args(SECRETS.iter().flat_map(|secret| ["-e", secret]));
    let mut search = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = BufWriter::new(search.stdin.take().ok_or("no input")?);
    for line in maps.lines() {
        let (range, _) = line.split_once(' ').ok_or("no range")?;
        let (from, to) = range.split_once('-').ok_or("no range")?;
        let (from, to) = (usize::from_str_radix(from, 16)?, usize::from_str_radix(to, 16)?);
        let mut flags = vec![0; (to - from) / PAGE * 8];
        if pages.read_exact_at(&mut flags, u64::try_from(from / PAGE * 8)?).is_err() {
            continue;
        }
        // The highest bit of the 64 about a page: it is present.
        for (page, _) in flags.chunks(8).enumerate().filter(|(_, flags)| flags[7] & 0x80 != 0) {
            let mut bytes = [0; PAGE];
            if memory.read_exact_at(&mut bytes, u64::try_from(from + page * PAGE)?).is_ok() {
                input.write_all(&bytes)?;
            }
        }
    }
    drop(input);
    Ok(String::from_utf8_lossy(&search.wait_with_output()?.stdout).into_owned())
}

/// The processes that have a secret of the pool `own` are its zygote, its worker and the supervisor.
fn expect_secret(server: &Server) -> Outcome {
    let zygote = server.zygote_of("own")?;
    let mut others = vec![base(server)?];
    others.extend(server.zygotes().into_iter().filter(|other| *other != zygote));
    others.extend(server.workers().into_iter().filter(|worker| worker.parent() != zygote.pid));
    ensure!(others.len() == 5, "{} other processes", others.len());
    let own: Vec<Process> = zygote.children().into_iter().filter(|child| is_worker(*child)).collect();
    for process in own.iter().chain([&zygote]) {
        let found = secrets_of(*process)?;
        let all = SECRETS[..2].iter().all(|secret| found.contains(secret));
        ensure!(all, "the search finds only {found:?} in {}", process.title());
    }
    for process in others {
        let found = secrets_of(process)?;
        ensure!(found.is_empty(), "{} has {found}", process.title());
    }
    Ok(())
}

/// Values of one pool, from a file that only root can read, are in no process of other pools and not in the base zygote.
#[test]
fn values_of_a_pool_are_in_no_other_process() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let dir = sandbox.path().display().to_string();
    let [environment, value, _] = SECRETS;
    sandbox.put(
        "own.conf",
        &format!(
            "[own]\nuser = 2171\ngroup = 2171\nprocess.group = own\nlisten = {dir}/own.sock\npm = static\n\
             pm.max_children = 1\nenv[SECRET] = {environment}\nphp_admin_value[sendmail_path] = /{value}\n"
        ),
    )?;
    fs::set_permissions(sandbox.file("own.conf"), Permissions::from_mode(0o600))?;
    let global = "process.base = yes\ninclude = {{DIR}}/own.conf";
    let server = start(&target, sandbox, 2, global, &[])?;
    for _ in 0..2 {
        for group in 0..2 {
            ensure!(ask(&server, group, "hello.php")? == "hello", "group {group}");
        }
        expect_secret(&server)?;
        server.reload()?;
        testkit::clock::wait_until("three zygotes", testkit::clock::ms(10_000), || {
            server.zygotes().len() == 3 && server.workers().len() == 3 && server.bases().len() == 1
        })?;
    }
    server.stop()
}

/// A php.ini that only root can read counts, in spite of `process.base`, and no script finds it in a file, a descriptor or the base
/// zygote's memory.
#[test]
fn php_ini_that_only_root_may_read() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let secret = SECRETS[2];
    sandbox.put(
        "www/look.php",
        &r#"<?php
$texts = [(string) @file_get_contents(php_ini_loaded_file()), (string) @file_get_contents('/proc/self/mem', false, null, 0, 16)];
foreach (range(3, 255) as $fd) $texts[] = (string) @file_get_contents("/proc/self/fd/$fd", false, null, 0, 4096);
echo ini_get('precision'), ' ', count(preg_grep('/START' . 'REST/', $texts));
"#
        .replace("START", &secret[..4])
        .replace("REST", &secret[4..]),
    )?;
    let server = start_closed(&target, sandbox, &format!("; {secret}"))?;
    for group in 0..2 {
        let seen = ask(&server, group, "look.php")?;
        ensure!(seen == "9 0", "group {group}: {seen}");
    }
    let log = server.log.text();
    ensure!(log.contains("zygotes start PHP without a base zygote: "), "{log}");
    ensure!(server.bases().is_empty(), "a base zygote is left");
    server.stop()
}

/// Groups with a php.ini of their own that only root can read.
fn start_closed(target: &Target, sandbox: Sandbox, comment: &str) -> Outcome<Server> {
    let path = sandbox.file("closed.ini");
    fs::write(&path, format!("{comment}\nprecision = 9\n"))?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    let conf = super::conf_with(2, "process.base = yes", &format!("pm = static\nprocess.php_ini = {}", path.display()));
    let address = super::socket_in(&sandbox, 0);
    Server::start_at(address, sandbox, target, &testkit::setup::Setup::new(1).whole(&conf))
}
