//! A private Apache (event MPM, mod_proxy_fcgi) in front of a server.

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
use crate::target::web_user;
use crate::{Outcome, ensure};

const PROGRAM: &str = "/usr/sbin/apache2";

/// A running Apache; ends when dropped.
#[derive(Debug)]
pub struct Apache {
    /// Where it listens.
    pub address: SocketAddr,
    sandbox: Sandbox,
    child: Child,
    _guard: Guard,
}

impl Apache {
    /// Starts one for the pages of a server's sandbox; connections to the pool stay (`enablereuse=on`).
    ///
    /// # Errors
    /// When it doesn't come up within 10 s, or isn't installed.
    pub fn start(pages: &Sandbox, pool: &Address) -> Outcome<Self> {
        ensure!(Path::new(PROGRAM).exists(), "Apache is missing: apt-get install apache2");
        let sandbox = Sandbox::new()?;
        let address = ([127, 0, 0, 1], free_port()?).into();
        fs::write(sandbox.file("apache.conf"), conf(&sandbox, pages, pool, address))?;
        let output = File::create(sandbox.file("stdio"))?;
        let mut command = Command::new(PROGRAM);
        command.arg("-d").arg(sandbox.path()).arg("-f").arg(sandbox.file("apache.conf")).arg("-DFOREGROUND");
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = command.spawn()?;
        let apache = Self { address, sandbox, _guard: Guard::over(child.id())?, child };
        let up = wait_until("Apache listens", ms(10_000), || Address::Tcp(address).connect(ms(1000)).is_ok());
        up.map_err(|error| format!("{error}; {}", apache.errors()))?;
        Ok(apache)
    }

    /// A client of it; every read and write takes at most `limit`.
    #[must_use]
    pub fn client(&self, limit: Duration) -> Client {
        Client::new(self.address, limit)
    }

    /// The last lines of what it complained of.
    #[must_use]
    pub fn errors(&self) -> String {
        ["stdio", "error.log"].map(|name| Log::new(&self.sandbox.file(name)).tail(3)).join("\n")
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).unwrap_or_default();
        let _ = process::end_all(|| process::of_group(group));
        let _ = self.child.wait();
    }
}

fn conf(own: &Sandbox, pages: &Sandbox, pool: &Address, listen: SocketAddr) -> String {
    let mut text = String::new();
    for name in ["mpm_event", "authz_core", "unixd", "proxy", "proxy_fcgi"] {
        let module = format!("/usr/lib/apache2/modules/mod_{name}.so");
        if Path::new(&module).exists() {
            text.push_str(&format!("LoadModule {name}_module {module}\n"));
        }
    }
    if let Some(user) = web_user() {
        text.push_str(&format!("User {user}\nGroup {user}\n"));
    }
    let dir = own.path().display();
    let www = pages.file("www");
    let www = www.display();
    let backend = match pool {
        Address::Unix(path) => format!("unix:{}|fcgi://localhost{www}/", path.display()),
        Address::Tcp(addr) => format!("fcgi://{addr}{www}/"),
    };
    text.push_str(&format!(
        "Listen {listen}\nServerName localhost\nPidFile {dir}/pid\nErrorLog {dir}/error.log\nDefaultRuntimeDir {dir}
        MaxKeepAliveRequests 0\nKeepAliveTimeout 60\nDocumentRoot {www}\nProxyTimeout 30
        StartServers 1\nServerLimit 1\nThreadsPerChild 32\nMaxRequestWorkers 32\nMinSpareThreads 32\nMaxSpareThreads 32
        ProxyPass \"/\" \"{backend}\" enablereuse=on max=32\n"
    ));
    text
}
