//! `error_log = syslog`: the messages that a syslog daemon gets. It runs in a `/dev` of the server's own.
#![forbid(unsafe_code)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, skip, turn};

/// Gives the following program a `/dev` with the daemon's socket. `$0` is the directory in which it is created.
const OWN_DEV: &str =
    "set -e; for name in null zero full random urandom; do : > $0/$name; mount --bind /dev/$name $0/$name; done
    mount --rbind $0 /dev; exec \"$@\"";

/// Texts that a script writes: a normal line, one with characters that no terminal should get, one that is too long,
/// PHP's own.
const WORDS: &str = r#"<?php $out = fopen('php://stderr', 'w'); fwrite($out, "plain\nesc \x1b[31m nul \0 end\n");
    fwrite($out, str_repeat('L', 2000) . "\n"); error_log("PHP says\ntwice");"#;

/// A server that logs to the daemon, with the received messages as lines; and the daemon's directory.
fn start(target: &Target, global: &str) -> Outcome<Server> {
    let sandbox = Sandbox::new()?;
    sandbox.put("www/words.php", WORDS)?;
    sandbox.put("www/preload.php", "<?php error_log(\"preloaded\\nby the zygote\");")?;
    let (dev, log) = (sandbox.file("dev"), sandbox.file("fpm.log"));
    fs::create_dir(&dev)?;
    let socket = sandbox.file("daemon.sock");
    let daemon = UnixDatagram::bind(&socket)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
    symlink(&socket, dev.join("log"))?;
    std::thread::spawn(move || write_down(&daemon, log));
    let dev = dev.display().to_string();
    let setup = Setup::new(1).global("error_log = syslog").global(global).pool("catch_workers_output = yes");
    let setup = setup.ini(&format!("opcache.preload = {}", sandbox.page("preload.php").display()));
    Server::start_in(sandbox, target, &setup.under(&["unshare", "-m", "sh", "-c", OWN_DEV, &dev]))
}

/// Until the sandbox is removed, or the test ends.
fn write_down(daemon: &UnixDatagram, log: PathBuf) -> Option<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let count = daemon.recv(&mut buffer).ok()?;
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&log).ok()?;
        file.write_all(&[buffer.get(..count)?, b"\n"].concat()).ok()?;
    }
}

/// Priority, ident with pid, and text, of messages of the form `<29>Nov 25 10:00:00 php-fpm[42]: text`.
fn messages(server: &Server) -> Outcome<Vec<(u32, String, String)>> {
    let text = server.log.text();
    let read = |line: &str| {
        let (priority, rest) = line.strip_prefix('<')?.split_once('>')?;
        let (date, rest) = rest.split_at_checked(16)?;
        let (ident, text) = rest.split_once(": ")?;
        (date.ends_with(' ') && date.as_bytes()[9] == b':').then_some(())?;
        Some((priority.parse().ok()?, ident.to_owned(), text.to_owned()))
    };
    let read = |line: &str| read(line).ok_or_else(|| format!("no message of syslog's: {line:?}").into());
    text.lines().map(read).collect()
}

fn is_possible() -> bool {
    let possible = Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|ran| ran.status.success());
    if !possible {
        skip("no mount namespace can be had");
    }
    possible
}

#[test]
fn each_message_has_its_priority() -> Outcome {
    let Some(target) = Target::find_ours_as_root().filter(|_| is_possible()) else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    for (global, ident, facility) in [("", "php-fpm", 3), ("syslog.ident = shop\nsyslog.facility = local3", "shop", 19)]
    {
        let server = start(&target, global)?;
        ask_once(&server.address, &Request::get(&server.sandbox.page("words.php")), ms(10_000))?;
        wait_until("PHP's words", ms(5000), || server.log.count("twice") > 0)?;
        let worker = server.workers().first().ok_or("no worker")?.pid;
        let mark = server.log.mark();
        testkit::process::Process::find(worker).ok_or("no worker")?.signal(Signal::SIGKILL);
        server.log.wait_for(mark, &["exited on signal 9", "started"], ms(5000))?;
        let (notice, warning) = (facility * 8 + 5, facility * 8 + 4);
        let ident = format!("{ident}[{}]", server.supervisor.pid);
        let said = |text: &str| format!("[WARNING] [pool www] child {worker} said into stderr: \"{text}");
        let zygote = server.zygotes().first().ok_or("no zygote")?.pid;
        let expected = [
            (notice, format!("[NOTICE] [group www] zygote {zygote}: PHP message: preloaded\\x0Aby the zygote")),
            (notice, "[NOTICE] fpm is running".to_owned()),
            (notice, "[NOTICE] ready to handle connections".to_owned()),
            (warning, said("plain\"")),
            (warning, said("esc \\x1B[31m nul \\x00 end\"")),
            (warning, said("LLL")),
            (warning, said("NOTICE: PHP message: PHP says\"")),
            (warning, said("twice\"")),
            (warning, format!("[WARNING] [pool www] child {worker} exited on signal 9 (SIGKILL)")),
        ];
        let heard = messages(&server)?;
        ensure!(heard.iter().all(|(_, who, _)| *who == ident), "{heard:#?}");
        for (priority, text) in &expected {
            let found = heard.iter().find(|(_, _, said)| said.starts_with(text)).map(|(priority, ..)| priority);
            ensure!(found == Some(priority), "{text}: {found:?}, not {priority}; {heard:#?}");
        }
        // `log_limit` applies: 2,000 letters are three messages.
        let long: Vec<usize> = heard.iter().map(|(.., text)| text.len()).filter(|length| *length > 900).collect();
        ensure!(long.len() == 2 && long.iter().all(|length| *length < 1024), "{long:?}");
        server.stop()?;
    }
    Ok(())
}
