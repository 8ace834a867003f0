//! Whole files of the original: what they become, and what is said of broken ones.

mod place;
mod refused;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::config::{AllowedClients, CoreLimit, ListenAddr, ProcessManager, convert};
use crate::log;
use place::{POOL, Place, file, pool, value};

#[test]
fn what_is_not_said_is_as_the_original_had_it() {
    let place = pool("");
    let config = place.config();
    assert_eq!(config.global.log_format, log::Format::Classic);
    assert_eq!(config.global.error_log.file(), Some(&*place.path().join("logs/php-fpm.log")));
    assert_eq!((config.global.pid, config.global.daemonize), (None, false));
    assert_eq!(config.global.log_level, log::Level::Notice);
    assert!(config.global.process_control_timeout.is_zero());
    let pool = &config.pools[0];
    assert_eq!((pool.name.as_str(), pool.pm, pool.pm_max_children), ("default", ProcessManager::Static, 5));
    assert_eq!((pool.catch_workers_output, pool.clear_env, pool.pm_max_requests), (false, true, 0));
    assert!(pool.listen_allowed_clients.is_everybody());
    assert_eq!(place.remarks(), [""; 0]);
}

#[test]
fn every_value_of_global_options_is_taken() {
    let place = file(
        &[
            value("pid_file", "logs/old.pid"),
            value("error_log", "logs/old.log"),
            value("log_level", "warn"),
            value("emergency_restart_threshold", "10"),
            value("emergency_restart_interval", "1m"),
            value("process_control_timeout", "5s"),
            value("daemonize", "YES"),
        ]
        .concat(),
        &[POOL],
    );
    let global = place.config().global;
    assert_eq!(global.pid, Some(place.path().join("logs/old.pid")));
    assert_eq!(global.error_log.file(), Some(&*place.path().join("logs/old.log")));
    assert_eq!((global.log_level, global.daemonize), (log::Level::Warning, true));
    assert_eq!((global.emergency_restart_threshold, global.emergency_restart_interval.as_secs()), (10, 60));
    assert_eq!(global.process_control_timeout.as_secs(), 5);
}

#[test]
fn every_value_of_a_pool_is_taken() {
    let place = pool(
        &[
            value("name", "shop"),
            value("group", "nogroup"),
            value("chroot", "/"),
            value("chdir", "/tmp"),
            value("allowed_clients", "127.0.0.1,10.0.0.1"),
            value("request_terminate_timeout", "2m"),
            value("request_slowlog_timeout", "5s"),
            value("slowlog", "logs/slow.log"),
            value("rlimit_files", "1024"),
            value("rlimit_core", "unlimited"),
            value("max_requests", "500"),
            value("catch_workers_output", "yes"),
            value(
                "listen_options",
                &[value("backlog", "64"), value("owner", "nobody"), value("mode", "0640")].concat(),
            ),
        ]
        .concat(),
    );
    let config = place.config();
    let pool = &config.pools[0];
    assert_eq!((pool.name.as_str(), pool.group.as_deref()), ("shop", Some("nogroup")));
    assert_eq!((pool.chroot.as_deref(), pool.chdir.as_deref()), (Some(Path::new("/")), Some(Path::new("/tmp"))));
    assert_eq!(pool.listen_allowed_clients, AllowedClients::read(Some("127.0.0.1,10.0.0.1")));
    assert_eq!((pool.request_terminate_timeout.as_secs(), pool.request_slowlog_timeout.as_secs()), (120, 5));
    assert_eq!(pool.slowlog, Some(place.path().join("logs/slow.log")));
    assert_eq!((pool.rlimit_files, pool.rlimit_core), (Some(1024), Some(CoreLimit::Unlimited)));
    assert_eq!((pool.pm_max_requests, pool.catch_workers_output, pool.process_dumpable), (500, true, true));
    assert_eq!((pool.listen_backlog, pool.listen_owner.as_deref(), pool.listen_mode), (64, Some("nobody"), 0o640));
}

#[test]
fn variables_and_ini_settings_are_set_in_the_order_of_the_file() {
    let values = [
        value("environment", &[value("A", "1"), value("HOST", "$HOSTNAME"), value("A", "2"), value("B", "")].concat()),
        value(
            "php_defines",
            &[value("memory_limit", "8M"), value("display_errors", "0"), value("a.b", "x &lt; y")].concat(),
        ),
    ];
    let config = pool(&values.concat()).config();
    let env: Vec<(&str, &str)> =
        config.pools[0].env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(env, [("A", "1"), ("HOST", "old.example"), ("A", "2")]);
    let settings = config.pools[0].php_settings.iter();
    let settings: Vec<(&str, &str, bool)> = settings.map(|s| (s.name.as_str(), s.value.as_str(), s.admin)).collect();
    assert_eq!(settings, [("memory_limit", "8M", true), ("display_errors", "0", true), ("a.b", "x < y", true)]);
}

#[test]
fn an_empty_value_is_not_set_and_the_last_of_two_counts() {
    let empty = pool("<value name=\"chroot\"></value><value name=\"chdir\"/><value name=\"allowed_clients\"> </value>");
    let config = empty.config();
    assert_eq!((config.pools[0].chroot.as_ref(), config.pools[0].chdir.as_ref()), (None, None));
    assert!(config.pools[0].listen_allowed_clients.is_everybody());
    let twice = pool(&[value("max_requests", "1"), value("max_requests", "2")].concat());
    assert_eq!(twice.config().pools[0].pm_max_requests, 2);
}

#[test]
fn text_comments_and_references_may_stand_between() {
    let place = pool("free text <!-- a comment --> more\n<value name=\"name\">a&#45;b&amp;</value>");
    assert_eq!(place.refusal()[0], "Error: [DIR/php-fpm.conf:7] 'a-b&' cannot be the name of a pool");
    let place = pool("free text <!-- a comment --> more <?pi?> <value name=\"name\">a&#x2d;b</value> &amp; so on");
    assert_eq!(place.config().pools[0].name, "a-b");
    let place = pool(&value("user", "a<!-- -->b"));
    assert!(
        place.refusal()[0].contains("XML_TEXT_NODE is expected in <value name=\"user\">, something different is given")
    );
}

#[test]
fn relative_paths_start_from_phps_prefix() {
    let place = file("", &[&format!("{POOL}{}", value("listen_address", "logs/fpm.sock"))]);
    let ListenAddr::Unix(path) = &place.config().pools[0].listen[0] else { panic!("no unix socket") };
    assert_eq!(*path, place.path().join("logs/fpm.sock"));
    assert_eq!(place.config().pools[0].listen_mode, 0o666);
    assert!(place.remarks()[0].contains("every user may connect to DIR/logs/fpm.sock"), "{:?}", place.remarks());
}

#[test]
fn apache_like_is_dynamic_with_numbers_that_fit() {
    let style = |spare: &str, most: &str| {
        let inner = [value("style", "apache-like"), value("max_children", most), value("apache_like", spare)].concat();
        pool(&value("pm", &inner))
    };
    let numbers = |place: &Place| {
        let pool = place.config().pools.remove(0);
        assert_eq!(pool.pm, ProcessManager::Dynamic);
        (pool.pm_max_children, pool.pm_start_servers, pool.pm_min_spare_servers, pool.pm_max_spare_servers)
    };
    let original =
        [value("StartServers", "20"), value("MinSpareServers", "5"), value("MaxSpareServers", "35")].concat();
    let fits = style(&original, "40");
    assert_eq!((numbers(&fits), fits.remarks().len()), ((40, 20, 5, 35), 0));
    let tight = style(&original, "5");
    assert_eq!(numbers(&tight), (5, 5, 5, 5));
    assert_eq!(
        tight.remarks()[1],
        "Warning: [DIR/php-fpm.conf:6] pool 'default': StartServers is set to 5, between 5 and 5"
    );
    let none = style("", "10");
    assert_eq!((numbers(&none), none.remarks().len()), ((10, 10, 5, 10), 0));
    // Read and left out, as ever, where the style is static.
    let place = pool(&value("pm", &[value("max_children", "2"), value("apache_like", &original)].concat()));
    assert_eq!((place.config().pools[0].pm, place.config().pools[0].pm_start_servers), (ProcessManager::Static, 0));
}

#[test]
fn pools_of_one_name_stay_two_and_templates_have_no_processes() {
    let other = POOL.replace("9000", "9001");
    let template = value("name", "base");
    let place = file("", &[POOL, &other, &template]);
    let config = place.config();
    let names: Vec<&str> = config.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["default", "default-2"]);
    assert_eq!(
        place.remarks()[..2],
        [
            "Warning: [DIR/php-fpm.conf:7] the name 'default' is taken: this pool is called 'default-2'",
            "Warning: [DIR/php-fpm.conf:8] pool 'base' has no listen_address: it is a template, and has no processes"
        ]
    );
    assert_eq!(file("", &[&template]).refusal()[0], "Error: [DIR/php-fpm.conf:2] no pool has a listen_address");
    let second = "<configuration><workers/><workers><section name=\"pool\">POOL</section></workers></configuration>";
    assert_eq!(Place::new(&second.replace("POOL", POOL)).config().pools.len(), 1);
}

#[test]
fn what_is_converted_says_the_same() {
    let odd = [
        value("name", "my-pool"),
        value(
            "php_defines",
            &[value("a", "it's \"so\\\" $x ${y}"), value("q", "'x\\''"), value("b", "yes"), value("c", "E_ALL")]
                .concat(),
        ),
        value("environment", &[value("HOST", "$HOSTNAME"), value("X", "a;b=c"), value("Y", "$1 or so")].concat()),
        value("catch_workers_output", "on"),
    ];
    let place = pool(&odd.concat());
    let ini = place.converted();
    fs::write(place.path().join("new.conf"), &ini).unwrap();
    let without_last = |mut lines: Vec<String>| {
        lines.pop();
        lines
    };
    assert_eq!(without_last(place.dump("new.conf")), without_last(place.dump("php-fpm.conf")), "{ini}");
    assert!(ini.contains("\nlog_format = classic\n") && ini.contains("\ncatch_workers_output = yes\n"), "{ini}");
    assert!(ini.contains("\nenv[HOST] = $HOSTNAME\n") && ini.contains("\nphp_admin_value[b] = \"yes\"\n"), "{ini}");
    let again = convert(&place.path().join("new.conf"), &place.options()).unwrap_err();
    assert!(again.to_string().ends_with("new.conf is not an XML file: it does not start with <"), "{again}");
}
