//! The original patch's XML php-fpm.conf: old files with what is expected of each, and a server that runs on one.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cgi_fpm::config::{LoadOptions, Message, Messages, convert, load};
use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{Ran, end_within};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// The files in `tests/xml`: `NAME.conf`, and `NAME.expected` with the lines of `-tt`, or those of the refusal.
fn old_files() -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xml"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            files.push(path);
        }
    }
    files.sort();
    ensure!(files.len() >= 8, "only {} files", files.len());
    Ok(files)
}

/// A directory that is PHP's prefix, with the file in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new(text: &str) -> Outcome<Self> {
        let place = Self(tempfile::tempdir()?);
        fs::create_dir(place.0.path().join("logs"))?;
        place.put("php-fpm.conf", text)?;
        Ok(place)
    }

    fn put(&self, name: &str, text: &str) -> Outcome {
        let dir = self.0.path().to_string_lossy().into_owned();
        Ok(fs::write(self.0.path().join(name), text.replace("{{DIR}}", &dir))?)
    }

    fn options(&self) -> LoadOptions {
        LoadOptions {
            php_prefix: self.0.path().to_owned(),
            local_state_dir: self.0.path().join("var"),
            root: true,
            ..LoadOptions::default()
        }
    }

    /// What `-tt` says of a file, a line each.
    fn tested(&self, name: &str) -> Vec<String> {
        let loaded = load(&self.0.path().join(name), &self.options());
        let tested = loaded.and_then(|loaded| loaded.test(&self.options(), true));
        self.lines(&tested.unwrap_or_else(|error| error.messages))
    }

    fn lines(&self, messages: &Messages) -> Vec<String> {
        let dir = self.0.path().to_string_lossy().into_owned();
        let line = |message: &Message| match message {
            Message::Log { level, text } => format!("{level:?}: {text}").replace(&dir, "{{DIR}}"),
            Message::Stderr(text) => text.clone(),
        };
        messages.lines.iter().map(line).collect()
    }
}

#[test]
fn old_files_mean_what_they_meant_and_broken_ones_are_told_where() -> Outcome {
    for path in old_files()? {
        let place = Place::new(&fs::read_to_string(&path)?)?;
        let expected = fs::read_to_string(path.with_extension("expected"))?;
        let found = place.tested("php-fpm.conf").join("\n") + "\n";
        ensure!(found == expected, "{}:\n{found}--- expected\n{expected}", path.display());
    }
    Ok(())
}

#[test]
fn what_is_converted_is_the_same_configuration() -> Outcome {
    let mut converted = 0;
    for path in old_files()? {
        let place = Place::new(&fs::read_to_string(&path)?)?;
        let Ok((ini, _)) = convert(&place.0.path().join("php-fpm.conf"), &place.options()) else { continue };
        place.put("new.conf", &ini)?;
        let dump = |name: &str| {
            // What is odd in the old file, and the file's name, are no part of the configuration.
            let lines = place.tested(name);
            let start = lines.iter().position(|line| line == "Notice: [global]").unwrap_or(lines.len());
            lines[start..lines.len() - 1].to_vec()
        };
        let (old, new) = (dump("php-fpm.conf"), dump("new.conf"));
        ensure!(old.len() > 60 && old == new, "{}: {old:?}\n{new:?}\n{ini}", path.display());
        ensure!(!place.tested("new.conf").iter().any(|line| line.starts_with("Warning")), "{ini}");
        converted += 1;
    }
    ensure!(converted == 3, "{converted} files were converted");
    Ok(())
}

const SERVING: &str = r#"<?xml version="1.0" ?>
<configuration>
	<section name="global_options">
		<value name="pid_file">{{DIR}}/fpm.pid</value>
		<value name="error_log">{{DIR}}/fpm.log</value>
		<value name="log_level">notice</value>
		<value name="process_control_timeout">5s</value>
		<value name="daemonize">no</value>
	</section>
	<workers>
		<section name="pool">
			<value name="name">default</value>
			<value name="listen_address">{{LISTEN}}</value>
			<value name="listen_options"><value name="mode">0666</value></value>
			<value name="user">{{USER}}</value>
			<value name="group">{{USER}}</value>
			<value name="php_defines"><value name="memory_limit">77M</value></value>
			<value name="pm"><value name="style">static</value><value name="max_children">2</value></value>
			<value name="catch_workers_output">yes</value>
			<value name="request_slowlog_timeout">1s</value>
			<value name="slowlog">{{DIR}}/slow.log</value>
			<value name="environment"><value name="OLD">times</value></value>
		</section>
	</workers>
</configuration>
"#;

const SPEAK: &str =
    "<?php fwrite(fopen('php://stderr', 'w'), \"a word\\n\"); echo getenv('OLD'), ini_get('memory_limit');";

/// `Sep 21 16:22:19.399162 [WARNING] fpm(), line 1: text`: the text, if the line is of that form.
fn classic(line: &str) -> Option<&str> {
    const MONTHS: &str = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let (date, rest) = line.split_at_checked("Sep 21 16:22:19.399162".len())?;
    let digits = date.get(3..)?.chars().map(|c| if c.is_ascii_digit() { '0' } else { c });
    let dated = MONTHS.contains(date.get(..3)?) && digits.eq(" 00 00:00:00.000000".chars());
    let (level, text) = rest.strip_prefix(" [")?.split_once("] fpm(), line 1: ")?;
    (dated && ["DEBUG", "NOTICE", "WARNING", "ERROR", "ALERT"].contains(&level)).then_some(text)
}

/// A slow request's line in the log, and its entry in the slow log.
fn slow_request_is_told(server: &Server) -> Outcome {
    let page = server.sandbox.page("slow.php");
    let request = Request::get(&page).param("QUERY_STRING", "how=nap&seconds=2");
    ask_once(&server.address, &request, ms(10_000))?;
    let line = server.log.text().lines().filter_map(classic).find(|line| line.contains("too slow")).map(str::to_owned);
    let line = line.ok_or("nothing is said of a slow request")?;
    let pid = line.strip_prefix("child ").and_then(|rest| rest.split_once(',')).map_or("", |(pid, _)| pid);
    let start = format!("child {pid}, script '{}' (pool default) executing too slow (1.", page.display());
    ensure!(line.starts_with(&start) && line.ends_with(" sec), logging"), "{line}");
    let entry = fs::read_to_string(server.sandbox.file("slow.log"))?;
    let lines: Vec<&str> = entry.lines().collect();
    let heading = lines.get(1).and_then(|line| line.split_once(" pid "));
    let whose = format!("{pid} (pool default)");
    let in_form = |date: &str| classic(&format!("{date} [NOTICE] fpm(), line 1: ")).is_some();
    ensure!(lines[0].is_empty() && heading.is_some_and(|(date, rest)| in_form(date) && rest == whose), "{entry}");
    ensure!(lines[2] == format!("script_filename = {}", page.display()), "{entry}");
    ensure!(lines[3].starts_with("[0x") && lines[3].contains("] sleep() "), "{entry}");
    Ok(())
}

/// `[23-Nov-2026 10:00:00] NOTICE: text`
fn of_today(line: &str) -> bool {
    line.starts_with('[') && line.find("] ") == Some(21)
}

fn served(server: &Server) -> Outcome {
    let answer = ask_once(&server.address, &Request::get(&server.sandbox.page("speak.php")), ms(5000))?;
    ensure!(answer.contains("times77M"), "{answer:.500}");
    Ok(())
}

fn start(target: &Target) -> Outcome<Server> {
    let sandbox = Sandbox::new()?;
    sandbox.put("www/speak.php", SPEAK)?;
    Server::start_in(sandbox, target, &Setup::new(2).whole(SERVING))
}

/// Ends a server; its log to the last line.
fn whole_log(mut server: Server) -> Outcome<String> {
    server.supervisor.signal(Signal::SIGTERM);
    server.await_end(ms(10_000))?;
    let text = server.log.text();
    server.stop()?;
    Ok(text)
}

#[test]
fn an_old_file_serves_and_logs_in_the_originals_form() -> Outcome {
    let Some(target) = Target::find_ours("xml_config::an_old_file_serves") else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target)?;
    served(&server)?;
    slow_request_is_told(&server)?;
    let worker = server.workers().into_iter().next().ok_or("no worker")?;
    worker.signal(Signal::SIGKILL);
    let pid = worker.pid;
    let died = format!("] fpm(), line 1: child {pid} (pool default) exited on signal 9 SIGKILL after ");
    wait_until("a death is told", ms(5000), || server.log.count(&died) == 1)?;
    let said = " (pool default) said into stderr: \"a word\"";
    wait_until("a word is told", ms(5000), || server.log.count(said) > 0)?;
    server.supervisor.signal(Signal::SIGUSR1);
    wait_until("the log is opened anew", ms(5000), || server.log.count("line 1: log file re-opened") == 1)?;
    server.reload()?;
    served(&server)?;
    server.await_workers(2, ms(10_000))?;
    let log = whole_log(server)?;
    for line in log.lines() {
        ensure!(classic(line).is_some(), "not in the original's form: {line}");
    }
    let told = |text: &str| log.lines().filter_map(classic).any(|line| line.starts_with(text));
    for text in ["fpm is running, pid ", "ready to handle connections", "reloading: execvp(\"", "exiting, bye-bye!"] {
        ensure!(told(text), "{text:?} is missing in {log}");
    }
    Ok(())
}

#[test]
fn a_reload_goes_from_xml_to_ini_and_back() -> Outcome {
    let Some(target) = Target::find_ours("xml_config::a_reload_goes_from_xml_to_ini_and_back") else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target)?;
    let ini = run(&target, &server.sandbox, &["--convert", "fpm.conf"])?.expect(0, &["\nlog_format = classic\n"])?.text;
    server.sandbox.put("fpm.conf", &ini.replace("\nlog_format = classic\n", "\n"))?;
    let mark = server.log.mark();
    server.reload()?;
    served(&server)?;
    let new = server.log.since(mark);
    let (form, last) = (new.lines().next().and_then(classic), new.lines().last().unwrap_or_default());
    ensure!(form == Some("Reloading in progress ...") && of_today(last), "{new}");
    let xml = server.conf.clone();
    // A broken one, refused with its place; the present one serves on.
    server.sandbox.put("fpm.conf", &xml.replace(">5s<", ">5<"))?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    let place = format!("[{}:7] process_control_timeout: unknown suffix", server.sandbox.file("fpm.conf").display());
    server.log.wait_for(mark, &[&place, "reload refused"], ms(10_000))?;
    served(&server)?;
    server.sandbox.put("fpm.conf", &xml)?;
    let mark = server.log.mark();
    server.reload()?;
    served(&server)?;
    let new = server.log.since(mark);
    ensure!(new.lines().last().and_then(classic).is_some(), "{new}");
    server.stop()
}

/// Runs the program in a sandbox until it ends.
fn run(target: &Target, sandbox: &Sandbox, options: &[&str]) -> Outcome<Ran> {
    let mut command = Command::new(target.program());
    command.args(options).envs(target.environment()).current_dir(sandbox.path()).stdin(Stdio::null());
    end_within(&mut command)
}

#[test]
fn an_ini_file_may_have_the_originals_log_form() -> Outcome {
    let Some(target) = Target::find_ours("xml_config::an_ini_file_may_have_the_originals_log_form") else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).global("log_format = classic"))?;
    let log = whole_log(server)?;
    for line in log.lines() {
        ensure!(classic(line).is_some(), "not in the original's form: {line}");
    }
    ensure!(log.matches("fpm(), line 1: ready to handle connections").count() == 1, "{log}");
    Ok(())
}

#[test]
fn the_command_line_tests_and_converts() -> Outcome {
    let Some(target) = Target::find_ours("xml_config::the_command_line_tests_and_converts") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    fs::create_dir_all(sandbox.file("etc"))?;
    fs::create_dir_all(sandbox.file("logs"))?;
    let dir = sandbox.path().to_string_lossy().into_owned();
    for path in old_files()? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path)?.replace("{{DIR}}", &dir);
        // The file where the original looked for it, below the prefix; and one that is named.
        sandbox.put("etc/php-fpm.conf", &text)?;
        sandbox.put("old.conf", &text)?;
        let broken = fs::read_to_string(path.with_extension("expected"))?.starts_with("Error");
        let status = if broken { 78 } else { 0 };
        let by_default = run(&target, &sandbox, &["-p", &dir, "-tt"])?.expect(status, &[])?;
        let named = run(&target, &sandbox, &["-p", &dir, "--fpm-config", "old.conf", "-tt"])?.expect(status, &[])?;
        let converted = run(&target, &sandbox, &["-p", &dir, "--convert", "old.conf"])?.expect(status, &[])?;
        ensure!(words(&by_default.text).len() == words(&named.text).len(), "{name}: {}", by_default.text);
        for line in by_default.text.lines() {
            ensure!(classic(line).is_some(), "{name}: not in the original's form: {line}");
        }
        if broken {
            ensure!(converted.text.contains("[old.conf:"), "{name}: {}", converted.text);
            continue;
        }
        // What is odd in the old file stands behind it, from stderr.
        let ini: Vec<&str> = converted.text.lines().filter(|line| !of_today(line)).collect();
        sandbox.put("new.conf", &(ini.join("\n") + "\n"))?;
        run(&target, &sandbox, &["-p", &dir, "-y", "new.conf", "-t"])?.expect(0, &["test is successful"])?;
        let new = run(&target, &sandbox, &["-p", &dir, "-y", "new.conf", "-tt"])?.expect(0, &[])?;
        ensure!(words(&new.text) == words(&named.text), "{name}:\n{}\n{}", new.text, named.text);
        stock_agrees(&target, &sandbox, &new.text)?;
    }
    sandbox.put("plain.conf", "[global]\n")?;
    run(&target, &sandbox, &["--convert", "plain.conf"])?.expect(78, &["plain.conf is no XML file"])?;
    run(&target, &sandbox, &["--convert", "none.conf"])?.expect(78, &["No such file or directory"])?;
    run(&target, &sandbox, &["--convert"])?.expect(64, &[])?;
    Ok(())
}

/// The configuration in the output of `-tt`.
fn words(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| classic(line).or_else(|| line.split_once("] NOTICE: ").map(|(_, l)| l)));
    let lines = lines.skip_while(|line| *line != "[global]");
    lines.filter(|line| !line.contains("test is successful")).collect()
}

/// Stock php-fpm reads the ini file as we do, but for what it hasn't.
fn stock_agrees(target: &Target, sandbox: &Sandbox, ours: &str) -> Outcome {
    let stock = target.prefix.join("libexec/php-fpm-stock");
    if !stock.exists() {
        return Ok(());
    }
    let ini = fs::read_to_string(sandbox.file("new.conf"))?.replace("\nlog_format = classic\n", "\n");
    sandbox.put("stock.conf", &ini)?;
    let mut command = Command::new(stock);
    command.args(["-p", &sandbox.path().to_string_lossy(), "-y", "stock.conf", "-tt"]);
    command.current_dir(sandbox.path()).stdin(Stdio::null());
    let theirs = end_within(&mut command)?.expect(0, &[])?;
    let ours: Vec<&str> = words(ours).into_iter().filter(|line| *line != "\tlog_format = classic").collect();
    ensure!(words(&theirs.text) == ours, "stock:\n{}\nours:\n{}\n{ini}", theirs.text, ours.join("\n"));
    Ok(())
}

/// The blocks of a language in the page about migration.
fn blocks(language: &str) -> Outcome<Vec<String>> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/migration-from-xml.md"))?;
    let fence = format!("\n```{language}\n");
    let blocks = page.split(&fence).skip(1).filter_map(|rest| rest.split_once("```").map(|(block, _)| block));
    Ok(blocks.map(str::to_owned).collect())
}

#[test]
fn the_page_about_migration_shows_what_happens() -> Outcome {
    let (xml, ini) = (blocks("xml")?, blocks("ini")?);
    ensure!((xml.len(), ini.len()) == (1, 1), "{} and {} examples", xml.len(), ini.len());
    let place = Place::new(&xml[0])?;
    let (converted, messages) = convert(&place.0.path().join("php-fpm.conf"), &place.options())?;
    let dir = format!("{}/", place.0.path().display());
    ensure!(converted.replace(&dir, "") == ini[0], "{converted}");
    ensure!(messages.lines.is_empty(), "{messages:?}");
    let log = blocks("text")?.concat();
    ensure!(log.lines().count() > 3 && log.lines().all(|line| classic(line).is_some()), "{log}");
    Ok(())
}

#[test]
fn the_page_about_migration_works() -> Outcome {
    let Some(target) = Target::find_ours("xml_config::the_page_about_migration_works") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    fs::create_dir(sandbox.file("logs"))?;
    fs::create_dir(sandbox.file("bin"))?;
    // php-cgi, by whichever door is tested.
    let program = target.program();
    sandbox.put("bin/php-cgi", &format!("#!/bin/sh\nshift\nexec {} \"$@\"\n", program.display()))?;
    fs::set_permissions(sandbox.file("bin/php-cgi"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let xml = blocks("xml")?.concat().replace("/usr/local/logs", &sandbox.file("logs").to_string_lossy());
    sandbox.put("php-fpm.conf", &xml)?;
    let before = run(&target, &sandbox, &["-y", "php-fpm.conf", "-tt"])?.expect(0, &[])?;
    let page = blocks("console")?.concat();
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    ensure!(commands.len() == 4, "{commands:?}");
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &commands.join("\n")]).envs(target.environment()).current_dir(sandbox.path());
    shell.env("PATH", format!("{}:/usr/bin:/bin", sandbox.file("bin").display())).stdin(Stdio::null());
    end_within(&mut shell)?.expect(0, &["test is successful"])?;
    let after = run(&target, &sandbox, &["-y", "php-fpm.conf", "-tt"])?.expect(0, &[])?;
    ensure!(words(&before.text).len() > 60 && words(&before.text) == words(&after.text), "{}", after.text);
    ensure!(fs::read_to_string(sandbox.file("php-fpm.conf"))?.starts_with("; made from"), "still XML");
    Ok(())
}
