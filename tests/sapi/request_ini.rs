//! Settings that the web server sends with a request: they apply to that request, as far as the pool trusts the web
//! server.
#![forbid(unsafe_code)]

use testkit::clock::ms;
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

#[test]
fn as_far_as_the_pool_trusts_and_no_longer() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (trust, wanted, complaints) in [("on", "5 77M", 0), ("user", "5 128M", 1), ("off", "14 128M", 1)] {
        let setup = Setup::new(1).pool(&format!("security.fastcgi_php_value = {trust}"));
        let server = Server::start(&target, &setup)?;
        server.sandbox.put("www/ini.php", "<?php echo ini_get('precision'), ' ', ini_get('memory_limit');")?;
        let request = Request::get(&server.sandbox.page("ini.php"));
        let sent = request.clone().param("PHP_VALUE", "precision=5").param("PHP_ADMIN_VALUE", "memory_limit=77M");
        let ask = |request: &Request| Client::connect(&server.address, ms(10_000))?.ask(request);
        // Compiled without the setting first: opcache puts the value of an admin setting into the code of
        // `ini_get('its name')`.
        ensure!(ask(&request)?.body() == "14 128M", "{trust}: other defaults than expected");
        let answer = ask(&sent)?;
        ensure!(answer.body() == wanted, "{trust}: {}", answer.body());
        // Of two refused settings, the log names the first.
        let said = String::from_utf8_lossy(&answer.stderr).matches("is not allowed here").count();
        ensure!(said == complaints, "{trust}: {}", String::from_utf8_lossy(&answer.stderr));
        let next = ask(&request)?.body();
        ensure!(next == "14 128M", "{trust}: the next request has {next}");
        server.stop()?;
    }
    Ok(())
}

/// The settings of an untrusted web server, and the resulting output of `ini.php`.
const UNTRUSTED: [(&str, &str); 24] = [
    ("memory_limit=64M", "memory_limit 64M"),
    ("upload_max_filesize=3M\npost_max_size=4M", "upload_max_filesize 3M post_max_size 4M"),
    ("error_reporting=E_ALL & ~E_NOTICE", "error_reporting {quiet}"),
    ("session.name=other", "session.name other"),
    // Fixed by the pool.
    ("precision=5", "precision 9"),
    ("open_basedir=/", "open_basedir {DIR}"),
    ("open_basedir=", "open_basedir {DIR}"),
    // Only allowed in php.ini.
    ("allow_url_include=1", "allow_url_include 0"),
    ("cgi.fix_pathinfo=0", "cgi.fix_pathinfo 1"),
    ("user_ini.filename=x", "user_ini.filename .user.ini"),
    // Code, functions, files, hosts.
    ("auto_prepend_file=php://input", "auto_prepend_file "),
    ("auto_append_file={DIR}/www/hello.php", "auto_append_file "),
    ("include_path={DIR}/out", "include_path .:"),
    ("output_handler=strtoupper", "output_handler "),
    ("unserialize_callback_func=phpinfo", "unserialize_callback_func "),
    ("error_log={DIR}/out/log.php", "error_log "),
    ("mail.force_extra_parameters=-X/tmp/x", "mail.force_extra_parameters "),
    ("session.save_path={DIR}/out", "session.save_path {DIR}/sessions"),
    ("session.save_handler=user", "session.save_handler files"),
    // Settings that change how source code is read, and settings that reveal internals.
    ("short_open_tag=0", "short_open_tag 1"),
    ("zend.script_encoding=UTF-16", "zend.script_encoding "),
    ("default_mimetype=\"${own.secret}\"", "default_mimetype text/html"),
    ("default_mimetype=PHP_EXTENSION_DIR", "default_mimetype text/html"),
    ("precision=5\nsession.name=x PHP_OS", "precision 9 session.name PHPSESSID"),
];

/// Any process that can connect to the socket can forge a request. With `user` it can change only settings that end
/// with the request.
#[test]
fn what_is_not_trusted_runs_no_code() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let dir = sandbox.path().display().to_string();
    let pool =
        format!("php_admin_value[open_basedir] = {dir}\nphp_admin_value[precision] = 9\ncatch_workers_output = yes");
    let setup = Setup::new(1).pool("security.fastcgi_php_value = user").pool(&pool);
    let setup = setup.ini("short_open_tag = 1\nown.secret = SECRET\nsession.save_handler = files");
    let server = Server::start_in(sandbox, &target, &setup)?;
    let show = "foreach (explode(',', $_GET['n']) as $n) $l[] = $n . ' ' . ini_get($n); echo implode(' ', $l);";
    server.sandbox.put("www/ini.php", &format!("<?php {show}"))?;
    let quiet = "error_reporting ".to_owned() + if server_is_84(&server)? { "30711" } else { "32759" };
    for (sent, wanted) in UNTRUSTED {
        let names: Vec<&str> = sent.lines().filter_map(|line| line.split('=').next()).collect();
        let sent = sent.replace("{DIR}", &dir);
        let wanted = wanted.replace("error_reporting {quiet}", &quiet).replace("{DIR}", &dir);
        let body = b"<?php echo 'injected';";
        let request = Request::post(&server.sandbox.page("ini.php"), body)
            .param("QUERY_STRING", &format!("n={}", names.join(",")));
        for variable in ["PHP_VALUE", "PHP_ADMIN_VALUE"] {
            let wanted =
                if variable == "PHP_VALUE" { wanted.clone() } else { ask_once(&server.address, &request, ms(10_000))? };
            let seen = ask_once(&server.address, &request.clone().param(variable, &sent), ms(10_000))?;
            let same = seen == wanted || (names == ["include_path"] && seen.starts_with(&wanted));
            ensure!(same, "{variable}={sent}: {seen} in place of {wanted}");
        }
    }
    // One line per minute, however many settings are refused.
    let said = server.log.count("is not allowed here");
    ensure!(said == 1, "{said} lines: {}", server.log.text());
    ensure!(server.log.count("PHP_ADMIN_VALUE is not allowed here") == 1, "{}", server.log.text());
    server.stop()
}

fn server_is_84(server: &Server) -> Outcome<bool> {
    server.sandbox.put("www/is84.php", "<?php echo PHP_VERSION_ID >= 80400 ? 'yes' : 'no';")?;
    Ok(ask_once(&server.address, &Request::get(&server.sandbox.page("is84.php")), ms(10_000))? == "yes")
}
