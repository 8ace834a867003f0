//! Compares the command line with stock php-fpm's from outside: status, both streams, log, pid file, and which
//! processes serve. Cases that need no running program are in `tests/oracle/configuration`.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::process::{Process, end_all};
use testkit::stage::{Stage, run_to_end};
use testkit::target::{Door, Target, as_root};
use testkit::{Outcome, ensure, skip, turn};

/// Runs both programs on one stage, one after the other.
struct Pair {
    stage: Stage,
    stock: PathBuf,
}

impl Pair {
    fn new() -> Outcome<Option<Self>> {
        let Some(target) = Target::find_ours() else { return Ok(None) };
        let stock = target.prefix.join("libexec/php-fpm-stock");
        if target.door != Door::Patched || !stock.exists() {
            skip("no stock php-fpm of the same PHP");
            return Ok(None);
        }
        Ok(Some(Self { stage: Stage::new(target, 1)?, stock: fs::canonicalize(stock)? }))
    }

    /// The results of both with these options; each starts without log, pid file and socket.
    fn both(&self, options: &str) -> Outcome<[String; 2]> {
        let stock = self.one(&self.stock, options)?;
        Ok([stock, self.one(&self.stage.target.program(), options)?])
    }

    fn one(&self, program: &Path, options: &str) -> Outcome<String> {
        let sandbox = &self.stage.sandbox;
        for name in ["fpm.log", "fpm.pid", "other.pid", "fpm.sock"] {
            let _ = fs::remove_file(sandbox.file(name));
        }
        let mut command = Command::new(program);
        command.args(options.split_ascii_whitespace()).current_dir(sandbox.path()).stdin(Stdio::null());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let ran = run_to_end(&mut command);
        let daemons: Vec<Process> = ["fpm.pid", "other.pid"].iter().filter_map(|name| self.running(name)).collect();
        let mut seen = String::new();
        for daemon in &daemons {
            let answer = ask_once(&self.stage.address, &Request::get(&sandbox.page("hello.php")), ms(5000));
            let _ = writeln!(seen, "a daemon that says {:?}", answer.unwrap_or_else(|error| error.to_string()));
            daemon.signal(Signal::SIGTERM);
            wait_until("its end", ms(5000), || !daemon.lives()).or_else(|error| {
                end_all(|| daemon.tree())?;
                Err(error)
            })?;
        }
        let ran = ran?;
        let _ = writeln!(seen, "status {:?}\n{}", ran.status, self.plain(program, &ran.text));
        let log = fs::read_to_string(sandbox.file("fpm.log")).unwrap_or_default();
        let _ = writeln!(seen, "log:\n{}", self.plain(program, &log));
        Ok(seen)
    }

    fn running(&self, pid_file: &str) -> Option<Process> {
        let text = fs::read_to_string(self.stage.sandbox.file(pid_file)).ok()?;
        Process::find(text.trim().parse().ok()?)
    }

    /// Removes text that differs between runs, our hints, and the messages of systemd's library in php-fpm.
    fn plain(&self, program: &Path, text: &str) -> String {
        let ours = self.stage.target.prefix.to_string_lossy().into_owned();
        let stock = self.stock.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lines =
            text.lines().map(|line| line.split_once("] ").filter(|(time, _)| is_time(time)).map_or(line, |s| s.1));
        let lines = lines.filter(|line| !line.is_empty() && !line.contains("systemd monitor interval"));
        let lines = lines.filter(|line| !line.starts_with("NOTICE: [") || !line.contains("] hint: "));
        let lines = lines.filter(|line| !line.contains("REQUEST_TIME") && !line.starts_with("PWD =>"));
        let lines = lines.map(|line| {
            let line = line.replace(&stock, "PREFIX").replace(&ours, "PREFIX").replace(&name, "php-fpm");
            let line = line.split_once(" (built: ").map_or(line.clone(), |(before, _)| before.to_owned());
            line.split_once(", pid ").map_or(line.clone(), |(before, _)| format!("{before}, pid N"))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn agree(&self, options: &str) -> Outcome<String> {
        let [stock, ours] = self.both(options)?;
        ensure!(stock == ours, "{options}\n--- stock\n{stock}\n--- ours\n{ours}");
        Ok(ours)
    }
}

fn is_time(text: &str) -> bool {
    text.starts_with('[') && text.get(3..4) == Some("-") && text.len() >= 21
}

/// Options that print something and exit.
#[test]
fn what_is_printed() -> Outcome {
    let Some(pair) = Pair::new()? else { return Ok(()) };
    let _turn = turn::shared()?;
    for (options, status) in [
        ("-h", 0),
        ("--help", 0),
        ("-?", 0),
        ("-Z", 64),
        ("--no-such", 64),
        ("-n -F extra", 64),
        ("-y", 64),
        ("-n -v", 0),
        ("-n --version", 0),
        ("-n -m", 0),
        ("-n --modules", 0),
        ("-n -d display_errors=1 -d memory_limit=77M -m", 0),
        ("-n -d extension=no_such_extension -m", 0),
    ] {
        let seen = pair.agree(options)?;
        ensure!(seen.starts_with(&format!("status Some({status})\n")), "{options}: {seen:.300}");
    }
    Ok(())
}

/// The whole of `-i`, except the environment and the current time.
#[test]
fn information() -> Outcome {
    let Some(pair) = Pair::new()? else { return Ok(()) };
    let _turn = turn::shared()?;
    for options in ["-n -i", "-c php.ini --info", "-n -d precision=5 -d date.timezone=UTC -d flag -i"] {
        let [stock, ours] = pair.both(options)?;
        // The wrapper is a shell script: the shell sets some variables, and passes all on in another order.
        let (stock, ours) = (what_stays(&stock), what_stays(&ours));
        let differs = stock.iter().zip(&ours).find(|(stock, ours)| stock != ours);
        ensure!(differs.is_none() && stock.len() == ours.len(), "{options}: {differs:?}");
        ensure!(ours.len() > 300, "{options}: only {} lines", ours.len());
    }
    Ok(())
}

fn what_stays(text: &str) -> Vec<&str> {
    let varies = |line: &&str| {
        ["Interned Strings", "PATH =>", "_ =>", "OLDPWD =>", "$_ENV[", "$_SERVER["].iter().any(|s| line.starts_with(s))
    };
    // The start time of opcache: the second program may start in another second.
    let undated = |line| if str::starts_with(line, START_TIME) { START_TIME } else { line };
    text.lines().filter(|line| !varies(line)).map(undated).collect()
}

const START_TIME: &str = "Start time =>";

/// `-t` and `-tt` on good and broken configurations.
#[test]
fn tests_of_the_configuration() -> Outcome {
    let Some(pair) = Pair::new()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = &pair.stage.sandbox;
    sandbox.put("broken.conf", &format!("{}pm = sometimes\n", pair.stage.conf))?;
    sandbox.put("syntax.conf", &format!("{}user = (www-data\n", pair.stage.conf))?;
    sandbox.put("unknown.conf", &format!("{}usr = www-data\n", pair.stage.conf))?;
    sandbox.put("late.conf", &format!("{}pm.max_children = 0\n", pair.stage.conf))?;
    sandbox.put("nobody.conf", &format!("{}user = nobody-has-this-name-x\n", pair.stage.conf))?;
    sandbox.put("root.conf", &format!("{}user = root\n", pair.stage.conf))?;
    fs::create_dir_all(sandbox.file("etc"))?;
    sandbox.put("etc/php-fpm.conf", &pair.stage.conf)?;
    for (options, status) in [
        ("-n -t -y fpm.conf", 0),
        ("-n --test --fpm-config fpm.conf", 0),
        ("-n -t -y fpm.conf -g other.pid -D -F -O -e", 0),
        ("-n -t -y root.conf", 0),
        ("-n -R -t -y root.conf", 0),
        ("-n -t -p .", 0),
        ("-n -t -p . -y etc/php-fpm.conf", 0),
        ("-n -t -d fpm.config=fpm.conf", 0),
        ("-n -t -y broken.conf", 78),
        ("-n -t -y syntax.conf", 78),
        ("-n -t -y unknown.conf", 78),
        ("-n -t -y late.conf", 78),
        ("-n -t -y nobody.conf", 78),
        ("-n -t -y none.conf", 78),
        ("-n -t -p none", 78),
    ] {
        let seen = pair.agree(options)?;
        ensure!(seen.starts_with(&format!("status Some({status})\n")), "{options}: {seen:.500}");
    }
    pair.agree("-n -tt -y fpm.conf")?;
    Ok(())
}

/// Starts that succeed and starts that fail: the parent's status, its output, and the log.
#[test]
fn starts() -> Outcome {
    let Some(pair) = Pair::new()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let (sandbox, conf) = (&pair.stage.sandbox, &pair.stage.conf);
    let socket = sandbox.file("fpm.sock").display().to_string();
    sandbox.put("late.conf", &format!("{conf}pm.max_children = 0\n"))?;
    sandbox.put("nowhere.conf", &conf.replace(&socket, "/no/such/directory/fpm.sock"))?;
    sandbox.put("nopid.conf", &conf.replace("fpm.pid", "no/such/fpm.pid"))?;
    sandbox.put("nolog.conf", &conf.replace("fpm.log", "no/such/fpm.log"))?;
    sandbox.put("stay.conf", &conf.replace("[www]", "daemonize = no\n[www]"))?;
    sandbox.put("root.conf", &format!("{conf}user = root\ngroup = root\n"))?;
    sandbox.put("nouser.conf", &conf.replace("user = www-data\n", ""))?;
    let mut cases = vec![
        ("-n -y fpm.conf", 0),
        ("-n -D -y fpm.conf", 0),
        ("-n -D -y stay.conf", 0),
        ("-n -F -D -y fpm.conf", 0),
        ("-n -D -O -y fpm.conf", 0),
        ("-c php.ini -d precision=3 -e -D -y fpm.conf", 0),
        ("-n -F -y late.conf", 78),
        ("-n -D -y late.conf", 78),
        ("-n -F -y nowhere.conf", 78),
        ("-n -D -y nowhere.conf", 70),
        ("-n -F -y nopid.conf", 78),
        ("-n -D -y nopid.conf", 70),
        ("-n -F -y nolog.conf", 78),
        ("-n -F -O -y nolog.conf", 78),
        ("-n -D -y none.conf", 78),
    ];
    if as_root() {
        cases.extend([("-n -F -y root.conf", 78), ("-n -D -y root.conf", 70), ("-n -D -y nouser.conf", 78)]);
        cases.extend([("-n -D -R -y root.conf", 0), ("-n -D --allow-to-run-as-root -y root.conf", 0)]);
    }
    for (options, status) in cases {
        let seen = pair.agree(options)?;
        let daemon = if status == 0 { "a daemon that says \"hello\"\n" } else { "" };
        ensure!(seen.starts_with(&format!("{daemon}status Some({status})\n")), "{options}: {seen:.500}");
    }
    Ok(())
}

/// `-g` names the pid file if the configuration has none.
#[test]
fn pid_file_of_the_command_line() -> Outcome {
    let Some(pair) = Pair::new()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let without: Vec<&str> = pair.stage.conf.lines().filter(|line| !line.starts_with("pid")).collect();
    pair.stage.sandbox.put("fpm.conf", &(without.join("\n") + "\n"))?;
    let path = pair.stage.sandbox.file("other.pid");
    for option in ["-g", "--pid"] {
        let seen = pair.agree(&format!("-n -D -y fpm.conf {option} {}", path.display()))?;
        ensure!(seen.starts_with("a daemon that says \"hello\""), "{seen:.500}");
    }
    Ok(())
}
