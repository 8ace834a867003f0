//! A private nginx in front of a server.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::http::Client;
use crate::log::Log;
use crate::sandbox::Sandbox;
use crate::stream::Address;
use crate::target::web_user;
use crate::web_server::WebServer;

pub(crate) const PROGRAM: &str = "/usr/sbin/nginx";

/// How a web server treats its connections to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// One for each request.
    PerRequest,
    /// That many stay (`keepalive`, `fastcgi_keep_conn on`).
    Kept(u32),
}

/// A running nginx; ends when dropped.
#[derive(Debug)]
pub struct Nginx(WebServer);

impl Nginx {
    /// Starts one for the pages of a server's sandbox.
    ///
    /// # Errors
    /// When it doesn't come up within 10 s, or isn't installed.
    pub fn start(pages: &Sandbox, pool: &Address, upstream: Upstream) -> Outcome<Self> {
        let conf = |own: &Sandbox, address| conf(own, pages, pool, upstream, address);
        WebServer::start(PROGRAM, conf, arguments).map(Self)
    }

    /// Starts one with servers of the test: `http` returns their configuration for the address to listen at.
    ///
    /// # Errors
    /// When it doesn't come up within 10 s, or isn't installed.
    pub fn start_with(http: impl FnOnce(SocketAddr) -> String) -> Outcome<Self> {
        let conf = |own: &Sandbox, address| format!("{}access_log off;\n{}\n}}\n", head(own), http(address));
        WebServer::start(PROGRAM, conf, arguments).map(Self)
    }

    /// Whether nginx is there.
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

    /// Its error log.
    #[must_use]
    pub fn log(&self) -> Log {
        self.0.log("error.log")
    }

    /// The last lines of what it complained of.
    #[must_use]
    pub fn errors(&self) -> String {
        self.0.errors()
    }
}

/// In the foreground, with the configuration in `conf`.
pub(crate) fn arguments(command: &mut Command, own: &Sandbox) {
    command.arg("-p").arg(own.path()).arg("-c").arg(own.file("conf")).arg("-e").arg(own.file("error.log"));
    command.args(["-g", "daemon off;"]);
}

/// User, places and limits, up to and into `http`.
fn head(own: &Sandbox) -> String {
    let dir = own.path().display();
    let mut text = web_user().map(|user| format!("user {user};\n")).unwrap_or_default();
    let _ = writeln!(text, "worker_processes 1;\npid {dir}/nginx.pid;\nevents {{ worker_connections 4096; }}\nhttp {{");
    for name in ["fastcgi", "proxy", "uwsgi", "scgi"] {
        let _ = writeln!(text, "{name}_temp_path {dir}/{name};");
    }
    text
}

fn conf(own: &Sandbox, pages: &Sandbox, pool: &Address, upstream: Upstream, listen: SocketAddr) -> String {
    let server = match pool {
        Address::Unix(path) => format!("unix:{}", path.display()),
        Address::Tcp(addr) => addr.to_string(),
    };
    let (keepalive, keep_conn) = match upstream {
        Upstream::PerRequest => (String::new(), "off"),
        Upstream::Kept(count) => (format!("keepalive {count};"), "on"),
    };
    let mut text = head(own);
    let www = pages.file("www");
    let _ = writeln!(
        text,
        "client_body_temp_path {}/client_body; access_log off; keepalive_requests 1000000; client_max_body_size 32m; fastcgi_read_timeout 30s;
        large_client_header_buffers 4 64k; fastcgi_buffer_size 64k; fastcgi_buffers 16 64k; fastcgi_next_upstream off;
        upstream pool {{ server {server}; {keepalive} }}
        server {{
            listen {listen}; root {};
            location ^~ /adminer/ {{ root /usr/share; {PASS} fastcgi_keep_conn {keep_conn}; }}
            location / {{ {PASS} fastcgi_keep_conn {keep_conn}; }}
        }} }}",
        own.path().display(),
        www.display()
    );
    text
}

const PASS: &str = "include /etc/nginx/fastcgi_params; fastcgi_pass pool;
    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;";
