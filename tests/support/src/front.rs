//! Four web servers, each configured the way its users do it, before a pool on a unix socket.

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

/// Which one, and how it hands requests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `fastcgi_pass` with Debian's snippet for path infos.
    Nginx,
    /// `fastcgi_pass` to a pool whose root is the document root.
    NginxChroot,
    /// `SetHandler "proxy:unix:…|fcgi://…"`, as Debian's php-fpm package configures it.
    ApacheHandler,
    /// `ProxyPassMatch`.
    ApacheMatch,
    /// `fastcgi.server`.
    Lighttpd,
    /// `php_fastcgi`'s transport, with all requests of scripts.
    Caddy,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Nginx | Self::NginxChroot => "/usr/sbin/nginx",
            Self::ApacheHandler | Self::ApacheMatch => "/usr/sbin/apache2",
            Self::Lighttpd => "/usr/sbin/lighttpd",
            Self::Caddy => "/usr/bin/caddy",
        }
    }

    fn arguments(self, command: &mut Command, own: &Sandbox) {
        let conf = own.file("conf");
        match self {
            Self::Nginx | Self::NginxChroot => {
                command.arg("-p").arg(own.path()).arg("-c").arg(conf).arg("-e").arg(own.file("error.log"));
                command.args(["-g", "daemon off;"])
            }
            Self::ApacheHandler | Self::ApacheMatch => {
                command.arg("-d").arg(own.path()).arg("-f").arg(conf).arg("-DFOREGROUND")
            }
            Self::Lighttpd => command.arg("-D").arg("-f").arg(conf),
            Self::Caddy => {
                command.env("HOME", own.path()).env("XDG_DATA_HOME", own.path()).env("XDG_CONFIG_HOME", own.path());
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(conf)
            }
        };
    }

    fn conf(self, own: &Sandbox, www: &Path, socket: &Path, listen: SocketAddr) -> String {
        match self {
            Self::Nginx => nginx(own, www, socket, listen, &www.display().to_string()),
            Self::NginxChroot => nginx(own, www, socket, listen, ""),
            Self::ApacheHandler => apache(own, www, listen, &handler(socket)),
            Self::ApacheMatch => apache(own, www, listen, &matching(www, socket)),
            Self::Lighttpd => lighttpd(own, www, socket, listen),
            Self::Caddy => caddy(www, socket, listen),
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
    /// Starts one for the pages in `www`, before the pool on that socket, which need not be there yet.
    ///
    /// # Errors
    /// When it doesn't come up within 10 s, or isn't installed.
    pub fn start(kind: Kind, www: &Path, socket: &Path) -> Outcome<Self> {
        let program = kind.program();
        ensure!(Path::new(program).exists(), "{program} is missing: apt-get install nginx apache2 lighttpd caddy");
        let sandbox = Sandbox::new()?;
        let address = ([127, 0, 0, 1], free_port()?).into();
        fs::write(sandbox.file("conf"), kind.conf(&sandbox, www, socket, address))?;
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

fn nginx(own: &Sandbox, www: &Path, socket: &Path, listen: SocketAddr, root: &str) -> String {
    let (dir, www, socket) = (own.path().display(), www.display(), socket.display());
    let user = web_user().map(|user| format!("user {user};")).unwrap_or_default();
    let temp =
        ["client_body", "fastcgi", "proxy", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path {dir}/{name};"));
    let pass = format!(
        "include /etc/nginx/fastcgi_params; fastcgi_pass unix:{socket};
        fastcgi_param DOCUMENT_ROOT {root}/; fastcgi_param SCRIPT_FILENAME {root}$fastcgi_script_name;"
    );
    let pass = if root.is_empty() {
        pass
    } else {
        pass.replace(&format!("DOCUMENT_ROOT {root}/"), "DOCUMENT_ROOT $document_root")
    };
    format!(
        "{user}\nworker_processes 1;\npid {dir}/pid;\nevents {{}}\nhttp {{ {}
        access_log off; underscores_in_headers on; ignore_invalid_headers off;
        server {{ listen {listen}; root {www}; server_name localhost;
            location ^~ /valued/ {{
                {pass} fastcgi_param PHP_VALUE \"memory_limit=77M\\nprecision=5\"; fastcgi_param PHP_ADMIN_VALUE \"arg_separator.output=X\";
                fastcgi_param SCRIPT_FILENAME {root}/transparency.php;
            }}
            location / {{
                fastcgi_split_path_info ^(.+?\\.php)(/.*)$; set $path_info $fastcgi_path_info;
                {pass} fastcgi_param PATH_INFO $path_info;
            }}
        }} }}\n",
        temp.join(" ")
    )
}

fn handler(socket: &Path) -> String {
    format!(
        "<FilesMatch \".+\\.(php|txt)$\">\nSetHandler \"proxy:unix:{}|fcgi://localhost\"\n</FilesMatch>",
        socket.display()
    )
}

fn matching(www: &Path, socket: &Path) -> String {
    format!(
        "ProxyPassMatch \"^/(.*\\.(php|txt)(/.*)?)$\" \"unix:{}|fcgi://localhost{}/$1\"",
        socket.display(),
        www.display()
    )
}

fn apache(own: &Sandbox, www: &Path, listen: SocketAddr, pass: &str) -> String {
    let modules = ["mpm_event", "authz_core", "unixd", "setenvif", "proxy", "proxy_fcgi", "dir"].into_iter();
    let modules = modules.map(|name| (name, format!("/usr/lib/apache2/modules/mod_{name}.so")));
    let modules: String = modules
        .filter(|(_, file)| Path::new(file).exists())
        .map(|(name, file)| format!("LoadModule {name}_module {file}\n"))
        .collect();
    let user = web_user().map(|user| format!("User {user}\nGroup {user}\n")).unwrap_or_default();
    let (dir, www) = (own.path().display(), www.display());
    format!(
        "{modules}{user}Listen {listen}\nServerName localhost\nPidFile {dir}/pid\nErrorLog {dir}/error.log\nDefaultRuntimeDir {dir}
        DocumentRoot {www}\n<Directory {www}>\nRequire all granted\n</Directory>\nAllowEncodedSlashes On\nDirectoryIndex index.php
        StartServers 1\nServerLimit 1\nThreadsPerChild 8\nMaxRequestWorkers 8\nMinSpareThreads 8\nMaxSpareThreads 8
        SetEnvIf Authorization \"(.*)\" HTTP_AUTHORIZATION=$1\n{pass}\n"
    )
}

fn lighttpd(own: &Sandbox, www: &Path, socket: &Path, listen: SocketAddr) -> String {
    let user =
        web_user().map(|u| format!("server.username = \"{u}\"\nserver.groupname = \"{u}\"\n")).unwrap_or_default();
    let (dir, www, socket) = (own.path().display(), www.display(), socket.display());
    format!(
        "server.modules = ( \"mod_fastcgi\" )\nserver.bind = \"{}\"\nserver.port = {}\nserver.document-root = \"{www}\"
        server.errorlog = \"{dir}/out/error.log\"\nserver.upload-dirs = ( \"{dir}/out\" )\nindex-file.names = ( \"index.php\" )\n{user}
        fastcgi.server = ( \".php\" => (( \"socket\" => \"{socket}\", \"check-local\" => \"disable\" )),
            \".txt\" => (( \"socket\" => \"{socket}\", \"check-local\" => \"disable\" )) )\n",
        listen.ip(),
        listen.port()
    )
}

fn caddy(www: &Path, socket: &Path, listen: SocketAddr) -> String {
    format!(
        "{{\n admin off\n auto_https off\n}}\nhttp://:{} {{\n bind {}\n root * {}\n
        @scripts path_regexp \\.(php|txt)(/|$)\n reverse_proxy @scripts unix/{} {{\n transport fastcgi {{\n split .php .txt\n }}\n }}\n}}\n",
        listen.port(),
        listen.ip(),
        www.display(),
        socket.display()
    )
}
