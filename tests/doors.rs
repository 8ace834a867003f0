//! Starting and not starting: options, refusals in one clear line, the daemon.
#![forbid(unsafe_code)]

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::broken::{self, Fault};
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::process::{self, Process};
use testkit::sandbox::Sandbox;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// A configuration in a directory, and the program to run on it.
struct Stage {
    target: Target,
    sandbox: Sandbox,
    address: Address,
    conf: String,
}

impl Stage {
    fn new(target: Target, setup: &Setup) -> Outcome<Self> {
        let sandbox = Sandbox::new()?;
        let address = Address::Unix(sandbox.file("fpm.sock"));
        let conf = setup.conf(sandbox.path(), &address);
        sandbox.put("fpm.conf", &conf)?;
        sandbox.put("php.ini", &setup.php_ini(&target, sandbox.path()))?;
        Ok(Self { target, sandbox, address, conf })
    }

    /// The program with this configuration; its output goes to files, which a daemon may keep.
    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(self.target.program());
        command.arg("-y").arg(self.sandbox.file("fpm.conf")).arg("-c").arg(self.sandbox.file("php.ini")).args(options);
        command.envs(self.target.environment()).current_dir(self.sandbox.path()).stdin(Stdio::null());
        command
    }

    /// Runs it to its end, which must come within 10 s.
    fn run(&self, options: &[&str]) -> Outcome<Ran> {
        end_within(&mut self.command(options))
    }
}

struct Ran {
    status: Option<i32>,
    text: String,
}

fn end_within(command: &mut Command) -> Outcome<Ran> {
    use std::os::unix::process::CommandExt as _;
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
    let group = i32::try_from(child.id())?;
    let output = std::thread::spawn(move || child.wait_with_output());
    let ended = wait_until("the end of the program", ms(10_000), || output.is_finished());
    process::end_all(|| process::of_group(group))?;
    let Output { status, stdout, stderr } = output.join().map_err(|_| "waiting panicked")??;
    ended?;
    Ok(Ran { status: status.code(), text: String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned() })
}

impl Ran {
    fn expect(self, status: i32, texts: &[&str]) -> Outcome<Self> {
        ensure!(self.status == Some(status), "status {:?} in place of {status}: {}", self.status, self.text);
        for text in texts {
            ensure!(self.text.contains(text), "{text:?} isn't in: {:.2000}", self.text);
        }
        Ok(self)
    }

    /// It refused to start and gave the reason in a line.
    fn expect_refusal(self, reason: &str) -> Outcome {
        ensure!(self.status.is_none_or(|status| status != 0), "it ended with status 0: {}", self.text);
        let lines = self.text.lines().filter(|line| !line.trim().is_empty()).count();
        ensure!(self.text.contains(reason), "{reason:?} isn't in: {:.2000}", self.text);
        ensure!((1..=4).contains(&lines), "{lines} lines: {:.2000}", self.text);
        Ok(())
    }
}

fn stage(name: &str, ours_only: bool) -> Outcome<Option<Stage>> {
    let target = if ours_only { Target::find_ours(name) } else { Target::find(name) };
    target.map(|target| Stage::new(target, &Setup::new(2))).transpose()
}

#[test]
fn options() -> Outcome {
    let Some(stage) = stage("doors::options", false)? else { return Ok(()) };
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
    let Some(stage) = stage("doors::broken_configurations", false)? else { return Ok(()) };
    let _turn = turn::shared()?;
    let broken = [
        ("no.such.directive = 1", "unknown entry 'no.such.directive'"),
        ("pm = sometimes", "invalid process manager"),
        ("pm.max_children = 0", "pm.max_children must be a positive value"),
        ("user = nobody-has-this-name-x", "nobody-has-this-name-x"),
    ];
    for (line, reason) in broken {
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

/// php-cgi --fpm started by a web server as a CGI program is an attack, not a start.
#[test]
fn cgi_environment() -> Outcome {
    let Some(stage) = stage("doors::cgi_environment", true)? else { return Ok(()) };
    let _turn = turn::shared()?;
    for name in ["GATEWAY_INTERFACE", "REQUEST_METHOD", "SERVER_SOFTWARE"] {
        end_within(stage.command(&["-F"]).env(name, "x"))?.expect_refusal("CGI")?;
        let mut bare = Command::new(stage.target.host_in(&stage.target.prefix));
        bare.args(["--fpm", "-F", "-y"]).arg(stage.sandbox.file("fpm.conf")).env(name, "x").stdin(Stdio::null());
        end_within(&mut bare)?;
        ensure!(!stage.sandbox.file("fpm.sock").exists(), "{name}: something was started");
    }
    Ok(())
}

/// A library that is missing or doesn't start: a reason, a status, and nothing left running.
#[test]
fn broken_libraries() -> Outcome {
    let Some(mut stage) = stage("doors::broken_libraries", true)? else { return Ok(()) };
    let _turn = turn::shared()?;
    let real = stage.target.prefix.join("lib/cgi-fpm.so");
    let copy = stage.sandbox.file("prefix");
    for name in ["bin/php-cgi", "sbin/php-fpm", "lib/cgi-fpm.so"] {
        fs::create_dir_all(copy.join(name).parent().ok_or("no parent")?)?;
        fs::copy(stage.target.prefix.join(name), copy.join(name))?;
    }
    stage.target.prefix.clone_from(&copy);
    let library = copy.join("lib/cgi-fpm.so");
    for fault in Fault::ALL {
        broken::replace(&library, &broken::library(&stage.sandbox, &real, fault)?)?;
        refuses(&stage).map_err(|error| format!("{fault:?}: {error}"))?;
    }
    fs::remove_file(&library)?;
    refuses(&stage)?;
    let ran = stage.run(&["-F"])?;
    ran.expect_refusal("cgi-fpm.so")
}

fn refuses(stage: &Stage) -> Outcome {
    let ran = stage.run(&["-F"])?;
    ensure!(ran.status != Some(0), "status 0: {}", ran.text);
    ensure!(ran.status.is_none() || !ran.text.trim().is_empty(), "no word of why");
    ensure!(!stage.sandbox.file("fpm.sock").exists(), "something was started: {}", ran.text);
    Ok(())
}

/// A daemon: the parent returns 0 when it accepts; own session, pid file, and each of three signals ends it.
#[test]
fn daemon() -> Outcome {
    let Some(stage) = stage("doors::daemon", false)? else { return Ok(()) };
    let _turn = turn::shared()?;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let pid_file = stage.sandbox.file("fpm.pid");
        let ran = daemonize(&stage)?;
        let result = (|| {
            ensure!(ran == Some(0), "the parent returned {ran:?}: {}", stage.output());
            let body = ask_once(&stage.address, &Request::get(&stage.sandbox.page("hello.php")), ms(5000))?;
            ensure!(body == "hello", "{body}");
            let pid: i32 = fs::read_to_string(&pid_file)?.trim().parse()?;
            let daemon = Process::find(pid).ok_or("the pid file names nobody")?;
            check_daemon(daemon)?;
            end(&stage, daemon, signal)
        })();
        stage.sweep()?;
        result.map_err(|error: Box<dyn std::error::Error + Send + Sync>| format!("{signal}: {error}"))?;
        ensure!(!pid_file.exists(), "{signal}: the pid file stays");
    }
    Ok(())
}

fn daemonize(stage: &Stage) -> Outcome<Option<i32>> {
    let output = fs::File::create(stage.sandbox.file("stdio"))?;
    let start = Instant::now();
    let status = stage.command(&["-D"]).stdout(output.try_clone()?).stderr(output).status()?;
    ensure!(start.elapsed() < ms(10_000), "the parent took {:?}", start.elapsed());
    Ok(status.code())
}

fn check_daemon(daemon: Process) -> Outcome {
    let sessions = daemon.status("NSsid");
    ensure!(sessions == [daemon.pid.to_string()], "session {sessions:?} of {}", daemon.pid);
    ensure!(daemon.parent() == 1 || daemon.parent() != i32::try_from(std::process::id())?, "our child");
    for process in [vec![daemon], daemon.descendants()].concat() {
        let kept = process.fds().into_iter().find(|(_, to)| to.ends_with("/stdio"));
        ensure!(kept.is_none(), "{} keeps the caller's output: {kept:?}", process.title());
    }
    Ok(())
}

fn end(stage: &Stage, daemon: Process, signal: Signal) -> Outcome {
    let tree = daemon.descendants();
    ensure!(tree.len() >= 2, "no workers: {}", tree.len());
    daemon.signal(signal);
    wait_until("the daemon's end", ms(5000), || !daemon.lives() && tree.iter().all(|process| !process.lives()))?;
    ensure!(stage.address.connect(ms(500)).is_err(), "somebody still listens");
    Ok(())
}

impl Stage {
    fn output(&self) -> String {
        let read = |name| fs::read_to_string(self.sandbox.file(name)).unwrap_or_default();
        read("stdio") + &read("fpm.log")
    }

    /// Ends a daemon that the test has left.
    fn sweep(&self) -> Outcome {
        let pid = fs::read_to_string(self.sandbox.file("fpm.pid")).ok().and_then(|text| text.trim().parse().ok());
        let Some(daemon) = pid.and_then(Process::find) else { return Ok(()) };
        let tree = [vec![daemon], daemon.descendants()].concat();
        process::end_all(|| tree.clone())
    }
}
