//! `php_value` and `php_admin_value` of a pool: what Zend makes of their text, with constants of extensions and settings of php.ini.
//! Holds for stock php-fpm, too (`CGI_FPM_DOOR=php-fpm`).
#![forbid(unsafe_code)]

use testkit::clock::ms;
use testkit::fastcgi::{Request, ask_once};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Settings, and the script that says what they should be.
const SETTINGS: [(&str, &str, &str); 7] = [
    ("php_value[user_agent]", "\"a; \" M_PI PREG_SPLIT_NO_EMPTY x", "'a; 3.1415926535898 1 x'"),
    ("php_value[precision]", "PHP_MAJOR_VERSION | PREG_SPLIT_DELIM_CAPTURE", "PHP_MAJOR_VERSION | 2"),
    ("php_admin_value[error_reporting]", "E_ALL & ~E_NOTICE & ~JSON_PRETTY_PRINT", "E_ALL & ~8 & ~128"),
    ("php_admin_value[default_mimetype]", "DATE_ATOM", "DATE_ATOM"),
    ("php_value[date.timezone]", "UTC", "'UTC'"),
    ("php_value[error_append_string]", "\"${own.name} x\"", "'from php.ini x'"),
    ("php_value[error_prepend_string]", "\"M_PI\"", "'M_PI'"),
];

#[test]
fn names_have_the_values_of_php() -> Outcome {
    let Some(target) = Target::find("pool_settings::names_have_the_values_of_php") else { return Ok(()) };
    let _turn = turn::shared()?;
    let lines = SETTINGS.map(|(name, value, _)| format!("{name} = {value}")).join("\n");
    let setup = Setup::new(1).pool(&lines).ini("own.name = from php.ini");
    let server = Server::start(&target, &setup)?;
    let checks = SETTINGS.map(|(name, _, wanted)| {
        let name = name.split(['[', ']']).nth(1).unwrap_or_default();
        format!("$n = '{name}'; if (ini_get($n) !== (string) ({wanted})) echo \"$n is \", ini_get($n), \"\\n\";")
    });
    let script =
        format!("<?php $p = ini_get('precision'); ini_set('precision', 14); {} echo 'done';", checks.join("\n"));
    // `precision` is looked at by what it was.
    let script = script.replace("$n = 'precision'; if (ini_get($n)", "$n = 'precision'; if ($p");
    server.sandbox.put("www/settings.php", &script)?;
    let answer = ask_once(&server.address, &Request::get(&server.sandbox.page("settings.php")), ms(10_000))?;
    ensure!(answer == "done", "{answer}");
    server.stop()
}
