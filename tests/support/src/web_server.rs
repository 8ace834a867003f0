//! The process of a web server and its directory, whichever it is.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::clock::{ms, wait_until};
use crate::guard::Guard;
use crate::http::Client;
use crate::log::Log;
use crate::process;
use crate::sandbox::{Sandbox, free_port};
use crate::stream::Address;
use crate::{Outcome, ensure};

/// A running web server; ends when dropped.
#[derive(Debug)]
pub(crate) struct WebServer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    sandbox: Sandbox,
    child: Child,
    _guard: Guard,
}

impl WebServer {
    /// Starts one in the foreground, in a directory of its own with the configuration in `conf`.
    ///
    /// # Errors
    /// When it doesn't come up within 10 s, or isn't installed.
    pub(crate) fn start(
        program: &str,
        conf: impl FnOnce(&Sandbox, SocketAddr) -> String,
        arguments: impl FnOnce(&mut Command, &Sandbox),
    ) -> Outcome<Self> {
        ensure!(Path::new(program).exists(), "{program} is missing: apt-get install nginx apache2 lighttpd caddy");
        let sandbox = Sandbox::new()?;
        let address = ([127, 0, 0, 1], free_port()?).into();
        fs::write(sandbox.file("conf"), conf(&sandbox, address))?;
        let output = File::create(sandbox.file("stdio"))?;
        let mut command = Command::new(program);
        arguments(&mut command, &sandbox);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = command.spawn()?;
        let server = Self { address, sandbox, _guard: Guard::over(child.id())?, child };
        let up = wait_until("the web server listens", ms(10_000), || Address::Tcp(address).connect(ms(1000)).is_ok());
        up.map_err(|error| format!("{program}: {error}; {}", server.errors()))?;
        Ok(server)
    }

    /// A client of it; every read and write takes at most `limit`.
    pub(crate) fn client(&self, limit: Duration) -> Client {
        Client::new(self.address, limit)
    }

    /// A file of its directory that it logs to.
    pub(crate) fn log(&self, name: &str) -> Log {
        Log::new(&self.sandbox.file(name))
    }

    /// The last lines of what it complained of.
    pub(crate) fn errors(&self) -> String {
        ["stdio", "error.log", "out/error.log"].map(|name| self.log(name).tail(3)).join("\n")
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).unwrap_or_default();
        let _ = process::end_all(|| process::of_group(group));
        let _ = self.child.wait();
    }
}
