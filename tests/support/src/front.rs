//! Four web servers, each configured the ways its users do it, before a pool.

mod conf;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use self::conf::Places;
use crate::clock::{ms, wait_until};
use crate::guard::Guard;
use crate::http::Client;
use crate::log::Log;
use crate::process;
use crate::sandbox::{Sandbox, free_port};
use crate::stream::Address;
use crate::{Outcome, ensure};

/// Which one, and how it hands requests on. `/valued/` always comes with settings for PHP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `fastcgi_pass` with Debian's snippet for path infos.
    Nginx,
    /// `fastcgi_pass` of everything, without a word on path infos.
    NginxBare,
    /// `fastcgi_pass` to a pool whose root is the document root.
    NginxChroot,
    /// The same, but DOCUMENT_ROOT is nginx' own.
    NginxChrootOutside,
    /// `SetHandler "proxy:unix:…|fcgi://…"`, as Debian's php-fpm package configures it.
    ApacheHandler,
    /// The same with `ProxyFCGIBackendType GENERIC` and `ProxyFCGISetEnvIf`.
    ApacheSetEnv,
    /// `ProxyPassMatch` to the socket.
    ApacheMatch,
    /// `ProxyPass` to a balancer whose member is the socket.
    ApacheBalancer,
    /// `ProxyPass` to a port: SCRIPT_FILENAME is `proxy:fcgi://127.0.0.1:port/…`.
    ApacheTcp,
    /// `fastcgi.server`.
    Lighttpd,
    /// The FastCGI transport, with all requests of scripts.
    Caddy,
    /// `php_fastcgi`.
    CaddyPhp,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            _ if self.is_nginx() => "/usr/sbin/nginx",
            Self::Lighttpd => "/usr/sbin/lighttpd",
            _ if self.is_caddy() => "/usr/bin/caddy",
            _ => "/usr/sbin/apache2",
        }
    }

    /// Whether it is nginx.
    #[must_use]
    pub fn is_nginx(self) -> bool {
        matches!(self, Self::Nginx | Self::NginxBare | Self::NginxChroot | Self::NginxChrootOutside)
    }

    /// Whether it is Caddy, which sends its variables in no order.
    #[must_use]
    pub fn is_caddy(self) -> bool {
        matches!(self, Self::Caddy | Self::CaddyPhp)
    }

    fn arguments(self, command: &mut Command, own: &Sandbox) {
        let conf = own.file("conf");
        match self {
            _ if self.is_nginx() => {
                command.arg("-p").arg(own.path()).arg("-c").arg(conf).arg("-e").arg(own.file("error.log"));
                command.args(["-g", "daemon off;"]);
            }
            Self::Lighttpd => {
                command.arg("-D").arg("-f").arg(conf);
            }
            _ if self.is_caddy() => {
                command.env("HOME", own.path()).env("XDG_DATA_HOME", own.path()).env("XDG_CONFIG_HOME", own.path());
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(conf);
            }
            _ => {
                command.arg("-d").arg(own.path()).arg("-f").arg(conf).arg("-DFOREGROUND");
            }
        }
    }
}

/// A running web server; ends when dropped.
#[derive(Debug)]
pub struct Front {
    /// Where it listens.
    pub address: SocketAddr,
    sandbox: Sandbox,
    child: Child,
    _guard: Guard,
}

impl Front {
    /// Starts one for the pages in `www`, before the pool at that address, which need not be there yet.
    ///
    /// # Errors
    /// When it doesn't come up within 10 s, or isn't installed.
    pub fn start(kind: Kind, www: &Path, pool: &Address) -> Outcome<Self> {
        let program = kind.program();
        ensure!(Path::new(program).exists(), "{program} is missing: apt-get install nginx apache2 lighttpd caddy");
        let sandbox = Sandbox::new()?;
        let address = ([127, 0, 0, 1], free_port()?).into();
        fs::write(sandbox.file("conf"), conf::text(kind, &Places { own: sandbox.path(), www, pool, listen: address }))?;
        let output = File::create(sandbox.file("stdio"))?;
        let mut command = Command::new(program);
        kind.arguments(&mut command, &sandbox);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = command.spawn()?;
        let front = Self { address, sandbox, _guard: Guard::over(child.id())?, child };
        let up = wait_until("the web server listens", ms(10_000), || Address::Tcp(address).connect(ms(1000)).is_ok());
        up.map_err(|error| format!("{kind:?}: {error}; {}", front.errors()))?;
        Ok(front)
    }

    /// A client of it; every read and write takes at most `limit`.
    #[must_use]
    pub fn client(&self, limit: Duration) -> Client {
        Client::new(self.address, limit)
    }

    /// The last lines of what it complained of.
    #[must_use]
    pub fn errors(&self) -> String {
        ["stdio", "error.log", "out/error.log"].map(|name| Log::new(&self.sandbox.file(name)).tail(3)).join("\n")
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).unwrap_or_default();
        let _ = process::end_all(|| process::of_group(group));
        let _ = self.child.wait();
    }
}
