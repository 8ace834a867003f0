//! Four web servers in front of a pool, each configured in the ways its users do it.

mod conf;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use self::conf::Places;
use crate::http::Client;
use crate::sandbox::Sandbox;
use crate::stream::Address;
use crate::web_server::WebServer;
use crate::{Outcome, apache, nginx};

/// Which web server, and how it passes requests on. `/valued/` always has settings for PHP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `fastcgi_pass` with Debian's snippet for path infos.
    Nginx,
    /// `fastcgi_pass` of everything, with no rule for path infos.
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
            _ if self.is_nginx() => nginx::PROGRAM,
            Self::Lighttpd => "/usr/sbin/lighttpd",
            _ if self.is_caddy() => "/usr/bin/caddy",
            _ => apache::PROGRAM,
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
        match self {
            _ if self.is_nginx() => nginx::arguments(command, own),
            Self::Lighttpd => {
                command.arg("-D").arg("-f").arg(own.file("conf"));
            }
            _ if self.is_caddy() => {
                command.env("HOME", own.path()).env("XDG_DATA_HOME", own.path()).env("XDG_CONFIG_HOME", own.path());
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(own.file("conf"));
            }
            _ => apache::arguments(command, own),
        }
    }
}

/// A running web server; ends when dropped.
#[derive(Debug)]
pub struct Front(WebServer);

impl Front {
    /// Starts one for the pages in `www`, before the pool at that address, which need not be there yet.
    ///
    /// # Errors
    /// When it doesn't come up within 10 s, or isn't installed.
    pub fn start(kind: Kind, www: &Path, pool: &Address) -> Outcome<Self> {
        let conf = |own: &Sandbox, listen| conf::text(kind, &Places { own: own.path(), www, pool, listen });
        WebServer::start(kind.program(), conf, |command, own| kind.arguments(command, own)).map(Self)
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
