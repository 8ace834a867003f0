//! A script that was removed: PHP's cache of resolved paths decides whether it is looked for, unless PHP has stopped to use it.
#![forbid(unsafe_code)]

use std::fs;

use testkit::clock::ms;
use testkit::fastcgi::{Client, Request};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// The answers for scripts that were removed after a request: before and after a request with `open_basedir`, with which PHP gives up
/// its cache for good.
fn answers(target: &Target, ini: &str) -> Outcome<Vec<String>> {
    let sandbox = Sandbox::new()?;
    fs::create_dir(sandbox.file("www/bounded"))?;
    sandbox.put("www/bounded/page.php", "<?php echo 'bounded';")?;
    sandbox.put("www/bounded/.user.ini", &format!("open_basedir = {}\n", sandbox.file("www").display()))?;
    for name in ["first", "second"] {
        sandbox.put(&format!("www/{name}.php"), "<?php echo 'here';")?;
    }
    let server = Server::start_in(sandbox, target, &Setup::new(1).ini("opcache.enable = 0").ini(ini))?;
    let ask = |page: &str| -> Outcome<String> {
        let www = server.sandbox.file("www");
        let request = Request::get(&www.join(page)).param("DOCUMENT_ROOT", &www.to_string_lossy());
        Ok(Client::connect(&server.address, ms(10_000))?.ask(&request)?.body())
    };
    let mut told = Vec::new();
    for page in ["first.php", "second.php"] {
        told.push(ask(page)?);
    }
    fs::remove_file(server.sandbox.file("www/first.php"))?;
    told.push(ask("first.php")?);
    told.push(ask("bounded/page.php")?);
    fs::remove_file(server.sandbox.file("www/second.php"))?;
    for page in ["second.php", "first.php", "none.php", "second.php/", "bounded/page.php/info"] {
        told.push(ask(page)?);
    }
    server.stop()?;
    Ok(told)
}

#[test]
fn a_removed_script_is_answered_as_by_php_fpm() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for ini in ["", "realpath_cache_size = 0", "realpath_cache_ttl = 0"] {
        let (ours, stock) = (answers(&target, ini)?, answers(&target.partner(), ini)?);
        ensure!(ours == stock, "{ini}: ours {ours:?}, php-fpm's {stock:?}");
        ensure!(ours.first().is_some_and(|body| body == "here"), "{ours:?}");
        // Otherwise the cache would decide nothing here.
        ensure!(!ini.is_empty() || stock[2] != stock[4], "{stock:?}");
    }
    Ok(())
}
