//! Groups start, reload and fail each on its own.
#![forbid(unsafe_code)]

mod endless;
mod moved;
mod names;
mod paths;
mod renewal;
mod starts;

use std::fmt::Write as _;

use testkit::Outcome;
use testkit::clock::{bar, ms};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{Ran, command_in, run_to_end};
use testkit::stream::Address;
use testkit::target::{Target, web_user};

/// A configuration of groups with one pool each, and a server that runs it.
struct Groups {
    server: Server,
    target: Target,
}

/// The lines of a group: its name, and further lines of its pool. `listen` is its socket, unless one of the lines is another.
type Group<'a> = (&'a str, &'a str);

fn conf(global: &str, groups: &[Group<'_>]) -> String {
    let mut text = format!("[global]\npid = {{{{DIR}}}}/fpm.pid\nerror_log = {{{{DIR}}}}/fpm.log\n{global}\n");
    for (name, lines) in groups {
        let _ = writeln!(text, "[{name}]\nprocess.group = {name}\npm = static\npm.max_children = 2\n{lines}");
        if !lines.contains("listen =") {
            let _ = writeln!(text, "listen = {{{{DIR}}}}/{name}.sock\nlisten.mode = 0666");
        }
        if let Some(user) = web_user() {
            let _ = writeln!(text, "user = {user}\ngroup = {user}");
        }
    }
    text
}

impl Groups {
    /// A server that isn't awaited.
    fn spawn(target: &Target, global: &str, groups: &[Group<'_>]) -> Outcome<Self> {
        Self::spawn_with(target, global, groups, &[])
    }

    /// The same, with files.
    fn spawn_with(target: &Target, global: &str, groups: &[Group<'_>], files: &[(&str, &str)]) -> Outcome<Self> {
        let sandbox = Sandbox::new()?;
        files.iter().try_for_each(|(name, content)| sandbox.put(name, content))?;
        let setup = Setup::new(1).whole(&conf(global, groups));
        let address = Address::Unix(sandbox.file("a.sock"));
        Ok(Self { server: Server::spawn_at(address, sandbox, target, &setup)?, target: target.clone() })
    }

    /// One that is ready when this returns.
    fn start(target: &Target, groups: &[Group<'_>]) -> Outcome<Self> {
        let mut new = Self::spawn(target, "", groups)?;
        new.server.await_ready()?;
        Ok(new)
    }

    /// Changes the configuration.
    fn write(&self, global: &str, groups: &[Group<'_>]) -> Outcome {
        self.server.sandbox.configure(&conf(global, groups))
    }

    /// A command of the control script.
    fn run(&self, words: &[&str]) -> Outcome<Ran> {
        run_to_end(&mut command_in(&self.target, &self.server.sandbox, words))
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.server.sandbox.file(name)
    }

    /// The socket of that group.
    fn socket(&self, name: &str) -> Address {
        Address::Unix(self.file(&format!("{name}.sock")))
    }

    fn serves(&self, name: &str) -> Outcome {
        let said = self.server.says_hello(&self.socket(name));
        Ok(said.map_err(|e| format!("{name}: {e}; {}", self.server.log.tail(8)))?)
    }

    /// Waits until that group has one zygote, of that generation.
    fn await_generation(&self, name: &str, number: usize) -> Outcome {
        self.server.await_generation(name, number, bar(ms(10_000)))
    }
}
