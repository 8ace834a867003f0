//! `php_value` and `php_admin_value` of a pool: how Zend reads their text, with constants of extensions and settings
//! of php.ini. It also holds for stock php-fpm (`CGI_FPM_DOOR=php-fpm`).
#![forbid(unsafe_code)]

use testkit::clock::ms;
use testkit::extension;
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Settings, and the script that prints their expected values.
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
    let Some(target) = Target::find() else { return Ok(()) };
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
    // `precision` is interpreted with its former value.
    let script = script.replace("$n = 'precision'; if (ini_get($n)", "$n = 'precision'; if ($p");
    server.sandbox.put("www/settings.php", &script)?;
    let answer = ask_once(&server.address, &Request::get(&server.sandbox.page("settings.php")), ms(10_000))?;
    ensure!(answer == "done", "{answer}");
    server.stop()
}

/// Counts how often it and its requests begin and end. `{NAME}` is its name, `{NEEDS}` its prerequisite.
const COUNTER: &str = r#"
#include "php.h"
static int begun, first, last;
static PHP_MINIT_FUNCTION(x) { begun++; return SUCCESS; }
static PHP_RINIT_FUNCTION(x) { first++; return SUCCESS; }
static PHP_RSHUTDOWN_FUNCTION(x) { last++; return SUCCESS; }
static PHP_FUNCTION({NAME}_counts) { RETURN_STR(strpprintf(0, "%d %d %d", begun, first, last)); }
ZEND_BEGIN_ARG_INFO_EX(arguments, 0, 0, 0)
ZEND_END_ARG_INFO()
static const zend_function_entry functions[] = { PHP_FE({NAME}_counts, arguments) PHP_FE_END };
static const zend_module_dep needs[] = { {NEEDS} ZEND_MOD_END };
static zend_module_entry entry = {
    STANDARD_MODULE_HEADER_EX, NULL, needs, "{NAME}", functions,
    PHP_MINIT(x), NULL, PHP_RINIT(x), PHP_RSHUTDOWN(x), NULL, "1", STANDARD_MODULE_PROPERTIES
};
ZEND_DLEXPORT zend_module_entry *get_module(void) { return &entry; }
"#;

/// An extension of a pool sees requests, each with its end, and nothing before the first one: php-fpm begins a
/// request in it when it is loaded. An extension that cannot be started is removed, and the others serve.
#[test]
fn a_pools_extension_hears_of_requests_only() -> Outcome {
    let Some(target) = Target::find_ours() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let mut setup = Setup::new(1).pool("catch_workers_output = yes");
    let lacking = r#"ZEND_MOD_REQUIRED("no_such_module")"#;
    // Read from the last one to the first, as by php-fpm.
    for (name, needs) in [("late", r#"ZEND_MOD_REQUIRED("counted")"#), ("lacking", lacking), ("counted", "")] {
        let source = COUNTER.replace("{NAME}", name).replace("{NEEDS}", needs);
        let file = extension::build(&target, &sandbox, name, &source)?;
        setup = setup.pool(&format!("php_admin_value[extension] = {}", file.display()));
    }
    let server = Server::start_in(sandbox, &target, &setup)?;
    let script = "<?php echo counted_counts(), ' ', late_counts(), ' ', (int) function_exists('lacking_counts'),
        (int) extension_loaded('lacking'), (new ReflectionExtension('late'))->getVersion();";
    server.sandbox.put("www/counts.php", script)?;
    for request in 1..4 {
        let seen = ask_once(&server.address, &Request::get(&server.sandbox.page("counts.php")), ms(10_000))?;
        let wanted = format!("1 {request} {ended} 1 {request} {ended} 001", ended = request - 1);
        ensure!(seen == wanted, "request {request}: {seen}");
    }
    ensure!(server.log.count("no_such_module") > 0, "{}", server.log.text());
    server.stop()
}
