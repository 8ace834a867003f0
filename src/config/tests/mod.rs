//! Whole files, as an operator writes them.

mod complaints;
mod engines;
mod place;

use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::{
    AllowedClients, BaseUse, Config, CoreLimit, ListenAddr, LoadOptions, PhpValuePolicy, ProcessManager, load,
    pid_file, socket_access,
};
use crate::log;
use place::{POOL, Place, pool_with};

/// A configuration file in a directory of its own, which is also the prefix.
#[test]
fn the_form_of_the_log_has_names() {
    let form = |line: &str| Place::new(&format!("[global]\n{line}\n{POOL}"));
    assert_eq!(form("").config().global.log_format, log::Format::Default);
    assert_eq!(form("log_format = Classic").config().global.log_format, log::Format::Classic);
    assert_eq!(form("log_format = classic").load().unwrap().messages.format, log::Format::Classic);
    assert_eq!(
        form("log_format = xml").refusal(),
        [
            "Error: [DIR/php-fpm.conf:2] unable to parse value for entry 'log_format': invalid value for 'log_format'",
            "Notice: [DIR/php-fpm.conf:2] hint: log_format takes default, classic or json",
        ]
    );
}

#[test]
fn the_web_server_is_trusted_as_far_as_the_pool_says() {
    let trust = |line: &str| pool_with(line).config().pools[0].security_fastcgi_php_value;
    assert_eq!(trust(""), PhpValuePolicy::All);
    assert_eq!(trust("security.fastcgi_php_value = User"), PhpValuePolicy::User);
    assert_eq!(trust("security.fastcgi_php_value = off"), PhpValuePolicy::Nothing);
    assert_eq!(trust("security.fastcgi_php_value = on"), PhpValuePolicy::All);
}

#[test]
fn a_monitor_has_an_address_a_mode_and_names() {
    let global = |lines: &str| Place::new(&format!("[global]\n{lines}\n{POOL}"));
    assert_eq!(global("").config().global.monitor, None);
    let monitor =
        global("monitor.listen = [::1]:9253\nmonitor.allowed_hosts = Web1.example , b").config().global.monitor;
    let monitor = monitor.unwrap();
    assert_eq!((monitor.tcp(), monitor.mode), (Some("[::1]:9253".parse().unwrap()), 0o660));
    assert_eq!(
        (monitor.allowed_hosts, monitor.show_requests),
        (vec!["web1.example".to_owned(), "b".to_owned()], false)
    );
    let shows = global("monitor.listen = [::1]:9253\nmonitor.show_requests = yes").config().global.monitor.unwrap();
    assert!(shows.show_requests);
    let monitor = global("monitor.listen = run/monitor.sock\nmonitor.mode = 600").config().global.monitor.unwrap();
    assert!(monitor.tcp().is_none() && monitor.listen.starts_with('/') && monitor.mode == 0o600, "{monitor:?}");
    for wrong in ["localhost:9253", "9253", "127.0.0.1:0", "127.0.0.1:x", "127.0.0.1", "::1:9253x", "monitor.sock"] {
        let refusal = global(&format!("monitor.listen = {wrong}")).refusal();
        assert!(refusal[0].contains("is neither a path nor an IP address with a port"), "{refusal:?}");
    }
    assert!(global("monitor.listen = /run/x\nmonitor.mode = 0999").refusal()[0].contains("'0999' is not a mode"));
    for host in ["web1:9253", "http://web1", "a b", "*.example", "[::1]"] {
        let refusal = global(&format!("monitor.listen = 127.0.0.1:9\nmonitor.allowed_hosts = b, {host}")).refusal();
        assert!(refusal[0].contains(&format!("'{host}' is not the name of a host")), "{host}: {refusal:?}");
        assert!(refusal[1].contains("monitor.allowed_hosts is set here"), "{refusal:?}");
    }
    let owned = |lines: &str| global(&format!("monitor.listen = /run/x\n{lines}"));
    let access = |lines: &str| {
        let monitor = owned(lines).config().global.monitor.unwrap();
        (monitor.owner, monitor.group)
    };
    assert_eq!((access(""), access("monitor.owner = 7")), ((None, None), (Some(7), None)));
    assert_eq!(access("monitor.owner = root\nmonitor.group = 9"), (Some(0), Some(9)));
    assert_eq!((access("monitor.owner = root"), access("monitor.group = root")), ((Some(0), Some(0)), (None, Some(0))));
    assert!(owned("monitor.owner = nosuchuser").refusal()[0].contains("monitor.owner: there is no user 'nosuchuser'"));
    assert!(
        owned("monitor.group = 99999999999").refusal()[0].contains("monitor.group: there is no group '99999999999'")
    );
    let over_tcp = global("monitor.listen = 127.0.0.1:9\nmonitor.owner = 7\nmonitor.allowed_hosts = a").load().unwrap();
    let said = format!("{:?}", over_tcp.messages);
    assert!(
        said.contains("monitor.owner has no effect: monitor.listen is no path") && !said.contains("hosts has"),
        "{said}"
    );
    let alone = global("monitor.mode = 0600").load().unwrap();
    assert_eq!(alone.config.global.monitor, None);
    assert!(format!("{:?}", alone.messages).contains("monitor.mode has no effect without monitor.listen"));
}

#[test]
fn abandoned_requests_are_dropped_on_demand_and_shown_so() {
    for (line, drops) in [("", false), ("request_drop_abandoned = no", false), ("request_drop_abandoned = Yes", true)] {
        let loaded = pool_with(line).load().unwrap();
        assert_eq!(loaded.config.pools[0].request_drop_abandoned, drops, "{line}");
        let shown = super::dump::lines(&loaded.raw);
        let told = shown.iter().any(|line| line == "\trequest_drop_abandoned = yes");
        assert_eq!(told, drops, "{line}: {shown:?}");
    }
}

#[test]
fn requests_have_ids_if_a_parameter_for_them_is_named() {
    for (line, name) in [
        ("", None),
        ("log.request_id = ", None),
        ("log.request_id = no", None),
        ("log.request_id = HTTP_X_REQUEST_ID", Some("HTTP_X_REQUEST_ID")),
        ("log.request_id = \"UNIQUE_ID\"", Some("UNIQUE_ID")),
    ] {
        let loaded = pool_with(line).load().unwrap();
        assert_eq!(loaded.config.pools[0].log_request_id.as_deref(), name, "{line}");
        let shown = super::dump::lines(&loaded.raw);
        let told =
            shown.iter().any(|line| Some(line.as_str()) == name.map(|n| format!("\tlog.request_id = {n}")).as_deref());
        assert_eq!(told, name.is_some(), "{line}: {shown:?}");
    }
    let long = "X".repeat(65);
    for bad in [
        "SCRIPT_FILENAME",
        "REMOTE_ADDR",
        "PHP_VALUE",
        "QUERY_STRING",
        "X-Request-ID",
        "1",
        "_A",
        "A B",
        "A\u{e4}",
        &long,
    ] {
        let refusal = pool_with(&format!("log.request_id = \"{bad}\"")).refusal();
        let start = format!("Error: [pool www] log.request_id = '{bad}': write the name of a FastCGI parameter");
        assert!(refusal[0].starts_with(&start), "{refusal:?}");
        assert_eq!(refusal[1], "Notice: [DIR/php-fpm.conf:6] hint: log.request_id is set here", "{refusal:?}");
    }
}

#[test]
fn a_format_with_ids_needs_them() {
    let with = |lines: &str| pool_with(&format!("access.log = access.log\n{lines}"));
    let refusal = with("access.format = \"%r %{trace}i\"").refusal();
    let expected = "Error: [pool www] access.format '%r %{trace}i' contains %i, the id of a request, but log.request_id is not set";
    assert!(refusal[0].starts_with(expected), "{refusal:?}");
    let config = with("access.format = \"%r %{trace}i\"\nlog.request_id = HTTP_X_REQUEST_ID").config();
    assert!(config.pools[0].access_format.as_ref().is_some_and(crate::access_log::Format::asks_for_ids));
}

#[test]
fn the_log_has_a_form_and_may_be_a_stream() {
    let global = |lines: &str| Place::new(&format!("[global]\n{lines}\n{POOL}")).config().global;
    assert_eq!(global("").log_format, log::Format::Default);
    assert_eq!(global("log_format = JSON").log_format, log::Format::Json);
    assert_eq!(global("log_format = default").log_format, log::Format::Default);
    assert_eq!(global("error_log = stderr").error_log.file(), Some(Path::new("/dev/stderr")));
    assert_eq!(global("error_log = STDOUT").error_log.file(), Some(Path::new("/dev/stdout")));
    assert_eq!(
        Place::new(&format!("[global]\nlog_format = xml2\n{POOL}")).refusal(),
        [
            "Error: [DIR/php-fpm.conf:2] unable to parse value for entry 'log_format': invalid value for 'log_format'",
            "Notice: [DIR/php-fpm.conf:2] hint: log_format takes default, classic or json",
        ]
    );
}

#[test]
fn a_small_pool_has_php_fpms_defaults() {
    let place = pool_with("");
    let config = place.config();
    let pool = &config.pools[0];
    assert_eq!((pool.name.as_str(), pool.user.as_deref(), pool.pm), ("www", Some("nobody"), ProcessManager::Static));
    assert_eq!(pool.listen, [ListenAddr::Tcp { spec: "9000".to_owned(), addrs: Vec::new() }]);
    assert_eq!((pool.listen_mode, pool.listen_backlog, pool.pm_max_spawn_rate), (0o660, -1, 32));
    assert_eq!(pool.security_limit_extensions, [".php", ".phar"]);
    assert_eq!((pool.clear_env, pool.decorate_workers_output, pool.catch_workers_output), (true, true, false));
    assert_eq!(pool.pm_process_idle_timeout, Duration::from_secs(10));
    assert_eq!((pool.rlimit_core, pool.process_priority), (None, None));
    assert!(config.global.daemonize);
    let log = config.global.error_log.file().unwrap();
    assert!(log.ends_with("log/php-fpm.log") && log.exists());
    assert_eq!(config.global.log_level, log::Level::Notice);
}

#[test]
fn values_arrive_in_their_types() {
    let global = "[global]\nlog_level = warn\nprocess_control_timeout = 2m\nrlimit_core = unlimited\npid = x.pid\n\
                  process.base = Yes\nprocess.base_user = daemon\n";
    let lines = "listen.mode = 0600\nrlimit_files = 4096\nrequest_terminate_timeout = 1h\nlisten.acl_users = a, b\n\
                 chdir = /\nprocess.priority = -5\nprocess.group = site";
    let place = Place::new(&format!("{global}{POOL}{lines}\n"));
    let Config { global, pools, .. } = place.config();
    assert_eq!(global.log_level, log::Level::Warning);
    assert_eq!(global.process_control_timeout, Duration::from_secs(120));
    assert_eq!(global.rlimit_core, Some(CoreLimit::Unlimited));
    assert_eq!(global.pid, Some(place.path().join("x.pid")));
    assert_eq!((global.base, global.base_user.as_str()), (BaseUse::Always, "daemon"));
    assert_eq!(pools[0].listen_mode, 0o600);
    assert_eq!(pools[0].rlimit_files, Some(4096));
    assert_eq!(pools[0].request_terminate_timeout, Duration::from_secs(3600));
    assert_eq!(pools[0].listen_acl_users, ["a", "b"]);
    assert_eq!(pools[0].process_priority, Some(-5));
    assert_eq!(pools[0].process_group.as_deref(), Some("site"));
}

#[test]
fn permissions_are_those_of_owner_group_and_others() {
    for (text, mode) in [("4777", 0o777), ("01660", 0o660), ("0", 0)] {
        let pools = pool_with(&format!("listen.mode = {text}")).config().pools;
        assert_eq!(pools[0].listen_mode, mode, "{text}");
    }
}

#[test]
fn settings_and_environment_come_in_php_fpms_order() {
    let pool = pool_with(
        "php_value[a] = 1\nphp_admin_value[b] = 2\nphp_flag[c] = off\nphp_admin_flag[d] = on\nphp_value[a] = 5\n\
         env[X] = $LANG\nenv[Y] = $NONE\nenv[X] = later",
    );
    let pool = pool.config().pools.remove(0);
    let settings: Vec<_> =
        pool.php_settings.iter().map(|s| (s.name.as_str(), s.value.as_str(), s.admin, s.flag)).collect();
    assert_eq!(
        settings,
        [
            ("a", "5", false, false),
            ("c", "0", false, true),
            ("a", "1", false, false),
            ("d", "1", true, true),
            ("b", "2", true, false)
        ]
    );
    let env: Vec<_> = pool.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(env, [("X", "later"), ("Y", ""), ("X", "C.UTF-8")]);
}

#[test]
fn paths_start_from_the_pools_prefix_and_know_the_pool() {
    let place = pool_with("prefix = sub\nslowlog = $pool.slow\nlisten = /run/$pool.sock, 127.0.0.1:9001");
    fs::create_dir(place.path().join("sub")).unwrap();
    let pool = place.config().pools.remove(0);
    assert_eq!(pool.slowlog, Some(place.path().join("sub/www.slow")));
    assert_eq!(pool.listen.len(), 2);
    assert_eq!(pool.listen[0], ListenAddr::Unix("/run/www.sock".into()));
}

#[test]
fn allowed_clients_that_are_given_but_empty_let_nobody_in() {
    let clients = |line: &str| pool_with(line).config().pools.remove(0).listen_allowed_clients;
    assert!(clients("").is_everybody());
    assert_eq!(clients("listen.allowed_clients = ${NONE}"), AllowedClients::read(Some("")));
    let items: Vec<String> = clients("listen.allowed_clients = 127.0.0.1, ::1,").into();
    assert_eq!(items, ["127.0.0.1", "::1"]);
}

#[test]
fn sections_are_continued_and_included_files_may_change_them() {
    let place = Place::new(&format!("{POOL}include = *.inc\n[WWW]\npm.max_children = 7\n"));
    place.write("2.inc", "[second]\nuser = x\nlisten = 9002\npm = ondemand\npm.max_children = 2\n");
    place.write("1.inc", "listen = 9001\n");
    let config = place.config();
    let pools: Vec<_> = config.pools.iter().map(|pool| (pool.name.as_str(), pool.pm_max_children)).collect();
    assert_eq!(pools, [("www", 7), ("second", 2)]);
    assert_eq!(config.pools[0].listen, [ListenAddr::Tcp { spec: "9001".to_owned(), addrs: Vec::new() }]);
}

#[test]
fn a_pool_for_the_status_page_comes_last() {
    let config = pool_with(
        "pm.status_listen = 9001\nping.path = /p\n[b]\nuser = x\nlisten = 9002\npm = static\npm.max_children = 1",
    );
    let config = config.config();
    let names: Vec<_> = config.pools.iter().map(|pool| (pool.name.as_str(), pool.status_of.as_deref())).collect();
    assert_eq!(names, [("www", None), ("b", None), ("www_status", Some("www"))]);
    assert_eq!(config.pools[2].pm, ProcessManager::Ondemand);
    assert_eq!(config.pools[2].pm_status_path.as_deref(), Some("/"));
    assert_eq!(config.pools[2].ping_path.as_deref(), Some("/p"));
}

#[test]
fn the_command_line_overrides_and_fills_in() {
    let place = Place::new(&format!("[global]\ndaemonize = no\nerror_log = x.log\n{POOL}"));
    fs::create_dir(place.path().join("p")).unwrap();
    let options = LoadOptions {
        prefix: Some(place.path().join("p")),
        pid_file: Some("run.pid".into()),
        daemonize: Some(true),
        ..place.options()
    };
    let global = load(&place.path().join("php-fpm.conf"), &options).unwrap().config.global;
    assert_eq!(global.pid, Some(place.path().join("p/run.pid")));
    assert_eq!(global.error_log.file(), Some(&*place.path().join("p/x.log")));
    assert!(global.daemonize);
}

#[test]
fn systemds_watchdog_sets_the_interval() {
    let place = pool_with("");
    let mut options = place.options();
    options.environment.push(("WATCHDOG_USEC".into(), "30000000".into()));
    let loaded = load(&place.path().join("php-fpm.conf"), &options).unwrap();
    assert_eq!(loaded.config.global.systemd_interval, Duration::from_secs(15));
    assert!(loaded.config.global.systemd_watchdog);
    assert_eq!(loaded.messages.lines[0].text(), "systemd watchdog configured to 15sec");
}

#[test]
fn a_configuration_survives_the_way_to_another_process() {
    let more = "php_value[a] = b\npm.status_listen = 9001\naccess.log = a.log\nlisten.allowed_clients = x,::1";
    let config = pool_with(more).config();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    // An earlier version kept a format that it had not checked.
    let earlier = text.replace(r#""access_format":"%R"#, r#""access_format":"%wrong%R"#);
    assert!(earlier != text && serde_json::from_str::<Config>(&earlier).unwrap().pools[0].access_format.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_file_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let place = Place::new("");
        fs::write(place.path().join("php-fpm.conf"), bytes).unwrap();
        prop_assert!(place.load().is_err());
    }
}
