//! The defaults of a pool's PHP, which docs/configuration.md tells in words: a pool that says the same gets the same.

use std::fs;

use testkit::around::Around;
use testkit::clock::ms;
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

/// The program, the library, php.ini and the further ini files.
const PAGE: &str = r"<?php
preg_match('~/\S*/cgi-fpm[^/\s]*[.]so~', file_get_contents('/proc/self/maps'), $library);
echo implode(' ', [readlink('/proc/self/exe'), $library[0], php_ini_loaded_file(), trim(php_ini_scanned_files())]);
";

fn section(name: &str, lines: &str) -> String {
    let user = web_user().map(|user| format!("user = {user}\ngroup = {user}\n")).unwrap_or_default();
    let common = "listen.mode = 0666\npm = static\npm.max_children = 1";
    format!("[{name}]\n{user}listen = {{{{DIR}}}}/{name}.sock\n{common}\n{lines}\n")
}

#[test]
fn a_pool_that_says_the_defaults_gets_the_same() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("www/page.php", PAGE)?;
    fs::create_dir(sandbox.file("ini.d"))?;
    sandbox.put("ini.d/further.ini", "")?;
    let (program, library) = (target.host_in(&target.prefix), target.prefix.join("lib/cgi-fpm.so"));
    // The server is started with `-c php.ini`.
    let said = format!(
        "process.php = {}\nprocess.php_library = {}\nprocess.php_ini = {{{{DIR}}}}/php.ini\n\
         process.php_ini_scan_dir = {{{{DIR}}}}/ini.d",
        program.display(),
        library.display()
    );
    let global = "[global]\npid = {{DIR}}/fpm.pid\nerror_log = {{DIR}}/fpm.log\n";
    let setup = Setup::new(1).whole(&format!("{global}{}{}", section("silent", ""), section("says", &said)));
    let scan = ("PHP_INI_SCAN_DIR".to_owned(), sandbox.file("ini.d").display().to_string());
    let around = Around { environment: vec![scan], ..Around::default() };
    let [silent, says] = ["silent", "says"].map(|name| Address::Unix(sandbox.file(&format!("{name}.sock"))));
    let server = Server::start_amid(around, silent.clone(), sandbox, &target, &setup)?;
    let ask = |at: &Address| ask_once(at, &Request::get(&server.sandbox.page("page.php")), ms(10_000));
    let wanted =
        [program.canonicalize()?, library, server.sandbox.file("php.ini"), server.sandbox.file("ini.d/further.ini")];
    let wanted = wanted.map(|path| path.display().to_string()).join(" ");
    for address in [silent, says] {
        let told = ask(&address)?;
        ensure!(told == wanted, "{address:?}: {told}\nwanted: {wanted}");
    }
    server.stop()
}
