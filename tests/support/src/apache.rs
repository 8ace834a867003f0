//! A private Apache (event MPM, mod_proxy_fcgi) in front of a server.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::http::Client;
use crate::nginx::Upstream;
use crate::sandbox::Sandbox;
use crate::stream::Address;
use crate::target::web_user;
use crate::web_server::WebServer;

pub(crate) const PROGRAM: &str = "/usr/sbin/apache2";

/// A running Apache; ends when dropped.
#[derive(Debug)]
pub struct Apache(WebServer);

impl Apache {
    /// Starts one for the pages of a server's sandbox; connections to the pool stay (`enablereuse=on`).
    ///
    /// # Errors
    /// When it doesn't come up within 10 s, or isn't installed.
    pub fn start(pages: &Sandbox, pool: &Address) -> Outcome<Self> {
        Self::start_with(pages, pool, Upstream::Kept(32))
    }

    /// As `start`, with connections of that kind to the pool. (Apache's own default is one for each request.)
    ///
    /// # Errors
    /// When it doesn't come up within 10 s, or isn't installed.
    pub fn start_with(pages: &Sandbox, pool: &Address, upstream: Upstream) -> Outcome<Self> {
        WebServer::start(PROGRAM, |own: &Sandbox, address| conf(own, pages, pool, upstream, address), arguments)
            .map(Self)
    }

    /// Whether Apache is there.
    #[must_use]
    pub fn is_installed() -> bool {
        Path::new(PROGRAM).exists()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// A client of it; every read and write takes at most `limit`.
    #[must_use]
    pub fn client(&self, limit: Duration) -> Client {
        self.0.client(limit)
    }

    /// The last lines of what it complained of.
    #[must_use]
    pub fn errors(&self) -> String {
        self.0.errors()
    }
}

/// In the foreground, with the configuration in `conf`.
pub(crate) fn arguments(command: &mut Command, own: &Sandbox) {
    command.arg("-d").arg(own.path()).arg("-f").arg(own.file("conf")).arg("-DFOREGROUND");
}

fn conf(own: &Sandbox, pages: &Sandbox, pool: &Address, upstream: Upstream, listen: SocketAddr) -> String {
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
    let reuse = match upstream {
        Upstream::PerRequest => "enablereuse=off".to_owned(),
        Upstream::Kept(count) => format!("enablereuse=on max={count}"),
    };
    text.push_str(&format!(
        "Listen {listen}\nServerName localhost\nPidFile {dir}/pid\nErrorLog {dir}/error.log\nDefaultRuntimeDir {dir}
        MaxKeepAliveRequests 0\nKeepAliveTimeout 60\nDocumentRoot {www}\nProxyTimeout 30
        StartServers 1\nServerLimit 1\nThreadsPerChild 32\nMaxRequestWorkers 32\nMinSpareThreads 32\nMaxSpareThreads 32
        ProxyPass \"/\" \"{backend}\" {reuse}\n"
    ));
    text
}
