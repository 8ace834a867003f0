//! A private nginx in front of a server.

use std::fmt::Write as _;
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

const PROGRAM: &str = "/usr/sbin/nginx";

/// How nginx treats its connections to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// One for each request.
    PerRequest,
    /// That many stay (`keepalive`, `fastcgi_keep_conn on`).
    Kept(u32),
}

/// A running nginx; ends when dropped.
#[derive(Debug)]
pub struct Nginx {
    /// Where it listens.
    pub address: SocketAddr,
    sandbox: Sandbox,
    child: Child,
    _guard: Guard,
}

impl Nginx {
    /// Starts one for the pages of a server's sandbox.
    ///
    /// # Errors
    /// When it doesn't come up within 10 s, or isn't installed.
    pub fn start(pages: &Sandbox, pool: &Address, upstream: Upstream) -> Outcome<Self> {
        ensure!(Path::new(PROGRAM).exists(), "nginx is missing: apt-get install nginx");
        let sandbox = Sandbox::new()?;
        let address = ([127, 0, 0, 1], free_port()?).into();
        fs::write(sandbox.file("nginx.conf"), conf(&sandbox, pages, pool, upstream, address))?;
        let output = File::create(sandbox.file("stdio"))?;
        let mut command = Command::new(PROGRAM);
        command.arg("-p").arg(sandbox.path()).arg("-c").arg(sandbox.file("nginx.conf"));
        command.arg("-e").arg(sandbox.file("error.log")).args(["-g", "daemon off;"]).process_group(0);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn()?;
        let nginx = Self { address, sandbox, _guard: Guard::over(child.id())?, child };
        let up = wait_until("nginx listens", ms(10_000), || Address::Tcp(address).connect(ms(1000)).is_ok());
        up.map_err(|error| format!("{error}; {}", nginx.errors()))?;
        Ok(nginx)
    }

    /// A client of it; every read and write takes at most `limit`.
    #[must_use]
    pub fn client(&self, limit: Duration) -> Client {
        Client::new(self.address, limit)
    }

    /// Its error log.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::new(&self.sandbox.file("error.log"))
    }

    /// The last lines of what it complained of.
    #[must_use]
    pub fn errors(&self) -> String {
        Log::new(&self.sandbox.file("stdio")).tail(3) + &self.log().tail(3)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).unwrap_or_default();
        let _ = process::end_all(|| process::of_group(group));
        let _ = self.child.wait();
    }
}

fn conf(own: &Sandbox, pages: &Sandbox, pool: &Address, upstream: Upstream, listen: SocketAddr) -> String {
    let dir = own.path().display();
    let server = match pool {
        Address::Unix(path) => format!("unix:{}", path.display()),
        Address::Tcp(addr) => addr.to_string(),
    };
    let (keepalive, keep_conn) = match upstream {
        Upstream::PerRequest => (String::new(), "off"),
        Upstream::Kept(count) => (format!("keepalive {count};"), "on"),
    };
    let mut text = web_user().map(|user| format!("user {user};\n")).unwrap_or_default();
    let _ = writeln!(text, "worker_processes 1;\npid {dir}/nginx.pid;\nevents {{ worker_connections 4096; }}\nhttp {{");
    for name in ["client_body", "fastcgi", "proxy", "uwsgi", "scgi"] {
        let _ = writeln!(text, "{name}_temp_path {dir}/{name};");
    }
    let www = pages.file("www");
    let _ = writeln!(
        text,
        "access_log off; keepalive_requests 1000000; client_max_body_size 32m; fastcgi_read_timeout 30s;
        large_client_header_buffers 4 64k; fastcgi_buffer_size 64k; fastcgi_buffers 16 64k; fastcgi_next_upstream off;
        upstream pool {{ server {server}; {keepalive} }}
        server {{
            listen {listen}; root {};
            location ^~ /adminer/ {{ root /usr/share; {PASS} fastcgi_keep_conn {keep_conn}; }}
            location / {{ {PASS} fastcgi_keep_conn {keep_conn}; }}
        }} }}",
        www.display()
    );
    text
}

const PASS: &str = "include /etc/nginx/fastcgi_params; fastcgi_pass pool;
    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;";
