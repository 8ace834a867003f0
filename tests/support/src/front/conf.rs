//! The web servers' configurations.

use std::net::SocketAddr;
use std::path::Path;

use super::Kind;
use crate::stream::Address;
use crate::target::web_user;

/// The facts that a configuration needs.
pub(super) struct Places<'a> {
    /// The web server's own directory.
    pub(super) own: &'a Path,
    /// The pages.
    pub(super) www: &'a Path,
    /// Where the pool listens.
    pub(super) pool: &'a Address,
    /// Where the web server is to listen.
    pub(super) listen: SocketAddr,
}

pub(super) fn text(kind: Kind, places: &Places<'_>) -> String {
    let www = places.www.display().to_string();
    match kind {
        Kind::Nginx => nginx(places, &pass(&www, "$document_root", true)),
        Kind::NginxBare => nginx(places, &pass(&www, "$document_root", false)),
        Kind::NginxChroot => nginx(places, &pass("", "/", true)),
        Kind::NginxChrootOutside => nginx(places, &pass("", "$document_root", true)),
        Kind::ApacheHandler => apache(places, &handler(places)),
        Kind::ApacheSetEnv => apache(places, &(handler(places) + SET_ENV)),
        Kind::ApacheMatch => apache(
            places,
            &format!("ProxyPassMatch \"^/(.*\\.(php|txt)(/.*)?)$\" \"{}{www}/$1\"", apache_pool(places.pool)),
        ),
        Kind::ApacheTcp => apache(places, &format!("ProxyPass \"/\" \"{}{www}/\"", apache_pool(places.pool))),
        Kind::ApacheBalancer => apache(
            places,
            &format!(
                "<Proxy \"balancer://pool\">\nBalancerMember \"{}\"\n</Proxy>\nProxyPass \"/\" \"balancer://pool{www}/\"",
                apache_pool(places.pool)
            ),
        ),
        Kind::Lighttpd => lighttpd(places),
        Kind::Caddy => caddy(places, CADDY_SCRIPTS),
        Kind::CaddyPhp => caddy(places, "php_fastcgi POOL\nfile_server"),
    }
}

/// The parameters of a request, `root` before the script's path.
fn pass(root: &str, document_root: &str, path_info: bool) -> String {
    let root = if root.is_empty() { "" } else { "$document_root" };
    let split = "fastcgi_split_path_info ^(.+?\\.php)(/.*)$; set $path_info $fastcgi_path_info;";
    let (split, info) = if path_info { (split, "fastcgi_param PATH_INFO $path_info;") } else { ("", "") };
    format!(
        "{split} fastcgi_index index.php; include /etc/nginx/fastcgi_params; {info}
        fastcgi_param DOCUMENT_ROOT {document_root}; fastcgi_param SCRIPT_FILENAME {root}$fastcgi_script_name;"
    )
}

fn nginx(places: &Places<'_>, pass: &str) -> String {
    let dir = places.own.display();
    let user = web_user().map(|user| format!("user {user};")).unwrap_or_default();
    let temp =
        ["client_body", "fastcgi", "proxy", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path {dir}/{name};"));
    let server = match places.pool {
        Address::Unix(path) => format!("unix:{}", path.display()),
        Address::Tcp(addr) => addr.to_string(),
    };
    format!(
        "{user}\nworker_processes 1;\npid {dir}/pid;\nevents {{}}\nhttp {{ {}
        access_log off; underscores_in_headers on; ignore_invalid_headers off;
        server {{ listen {}; root {}; server_name localhost;
            location ^~ /valued/ {{
                {pass} fastcgi_pass {server};
                fastcgi_param PHP_VALUE \"memory_limit=77M\\nprecision=5\"; fastcgi_param PHP_ADMIN_VALUE \"arg_separator.output=X\";
            }}
            location / {{ {pass} fastcgi_pass {server}; }}
        }} }}\n",
        temp.join(" "),
        places.listen,
        places.www.display()
    )
}

const SET_ENV: &str = "
    ProxyFCGIBackendType GENERIC
    ProxyFCGISetEnvIf \"true\" PATH_INFO \"/from/apache\"
    ProxyFCGISetEnvIf \"reqenv('REQUEST_METHOD') == 'POST'\" WAS_POSTED \"%{reqenv:REQUEST_METHOD} %{reqenv:CONTENT_TYPE}\"
    ProxyFCGISetEnvIf \"true\" !REMOTE_ADDR
    ProxyFCGISetEnvIf \"reqenv('SCRIPT_FILENAME') =~ m|^(.*)/sub/transparency.php$|\" SCRIPT_FILENAME \"$1/transparency.php\"";

fn handler(places: &Places<'_>) -> String {
    format!("<FilesMatch \".+\\.(php|txt)$\">\nSetHandler \"proxy:{}\"\n</FilesMatch>", apache_pool(places.pool))
}

fn apache_pool(pool: &Address) -> String {
    match pool {
        Address::Unix(path) => format!("unix:{}|fcgi://localhost", path.display()),
        Address::Tcp(addr) => format!("fcgi://{addr}"),
    }
}

fn apache(places: &Places<'_>, pass: &str) -> String {
    let modules = [
        "mpm_event",
        "authz_core",
        "unixd",
        "setenvif",
        "slotmem_shm",
        "proxy",
        "proxy_balancer",
        "lbmethod_byrequests",
        "proxy_fcgi",
        "dir",
    ];
    let modules = modules.map(|name| (name, format!("/usr/lib/apache2/modules/mod_{name}.so")));
    let there = modules.iter().filter(|(_, file)| Path::new(file).exists());
    let modules: String = there.map(|(name, file)| format!("LoadModule {name}_module {file}\n")).collect();
    let user = web_user().map(|user| format!("User {user}\nGroup {user}\n")).unwrap_or_default();
    let (dir, www) = (places.own.display(), places.www.display());
    format!(
        "{modules}{user}Listen {}\nServerName localhost\nPidFile {dir}/pid\nErrorLog {dir}/error.log\nDefaultRuntimeDir {dir}
        DocumentRoot {www}\n<Directory {www}>\nRequire all granted\n</Directory>\nAllowEncodedSlashes On\nDirectoryIndex index.php
        StartServers 1\nServerLimit 1\nThreadsPerChild 8\nMaxRequestWorkers 8\nMinSpareThreads 8\nMaxSpareThreads 8
        SetEnvIf Authorization \"(.*)\" HTTP_AUTHORIZATION=$1
        SetEnvIf Request_URI \"^/valued/\" PHP_VALUE=precision=5 PHP_ADMIN_VALUE=arg_separator.output=X\n{pass}\n",
        places.listen
    )
}

fn lighttpd(places: &Places<'_>) -> String {
    let user =
        web_user().map(|u| format!("server.username = \"{u}\"\nserver.groupname = \"{u}\"\n")).unwrap_or_default();
    let (dir, www) = (places.own.display(), places.www.display());
    let pool = match places.pool {
        Address::Unix(path) => format!("\"socket\" => \"{}\"", path.display()),
        Address::Tcp(addr) => format!("\"host\" => \"{}\", \"port\" => {}", addr.ip(), addr.port()),
    };
    format!(
        "server.modules = ( \"mod_setenv\", \"mod_fastcgi\" )\nserver.bind = \"{}\"\nserver.port = {}
        server.document-root = \"{www}\"\nindex-file.names = ( \"index.php\" )
        server.errorlog = \"{dir}/out/error.log\"\nserver.upload-dirs = ( \"{dir}/out\" )\n{user}
        server.http-parseopts = ( \"url-ctrls-reject\" => \"disable\" )
        $HTTP[\"url\"] =~ \"^/valued/\" {{ setenv.add-environment = ( \"PHP_VALUE\" => \"precision=5\" ) }}
        fastcgi.server = ( \".php\" => (( {pool}, \"check-local\" => \"disable\" )),
            \".txt\" => (( {pool}, \"check-local\" => \"disable\" )) )\n",
        places.listen.ip(),
        places.listen.port()
    )
}

const CADDY_SCRIPTS: &str = "@scripts path_regexp \\.(php|txt)(/|$)
    reverse_proxy @scripts POOL {\n transport fastcgi {\n split .php .txt\n }\n }";

fn caddy(places: &Places<'_>, pass: &str) -> String {
    let pool = match places.pool {
        Address::Unix(path) => format!("unix/{}", path.display()),
        Address::Tcp(addr) => addr.to_string(),
    };
    let valued = "handle /valued/* {\n php_fastcgi POOL {\n env PHP_VALUE precision=5\n }\n }\n";
    let rest = format!("{valued} handle {{\n {pass}\n }}").replace("POOL", &pool);
    format!(
        "{{\n admin off\n auto_https off\n}}\nhttp://:{} {{\n bind {}\n root * {}\n {rest}\n}}\n",
        places.listen.port(),
        places.listen.ip(),
        places.www.display()
    )
}
