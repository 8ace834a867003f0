//! Hand-written configurations, and those of php-src's tests and samples.

use std::fs;
use std::path::Path;

use super::Case;

/// The files in a case's directory beside the configuration.
pub(crate) fn furnish(place: &Path) {
    for dir in ["log", "run", "sub", "root/inside", "var", "etc"] {
        fs::create_dir_all(place.join(dir)).unwrap();
    }
    fs::write(place.join("sub/b.conf"), "[b]\nlisten = 9002\nuser = 1\npm = static\npm.max_children = 2\n").unwrap();
    fs::write(place.join("sub/a.conf"), "[a]\nlisten = 9001\nuser = 1\npm = static\npm.max_children = 1\n").unwrap();
    for (name, text) in [("www.conf", DEBIAN_POOL), ("docker.conf", DOCKER), ("zz-docker.conf", ZZ_DOCKER)] {
        fs::create_dir_all(place.join("pool.d")).unwrap();
        fs::write(place.join("pool.d").join(name), text.replace("{{DIR}}", place.to_str().unwrap())).unwrap();
    }
    fs::write(place.join("sub/.hidden.conf"), "nonsense\n").unwrap();
    fs::write(place.join("wrong.inc"), "[w]\n\nnonsense = 1\n").unwrap();
    fs::write(place.join("self.inc"), format!("include = {}/self.inc\n", place.display())).unwrap();
}

/// The lines in the files of Debian's package, and in those of Docker's official image.
const DEBIAN_POOL: &str = "; Start a new pool named 'www'.\n[www]\nuser = www-data\ngroup = www-data\n\
    listen = {{DIR}}/run/php8.2-fpm.sock\nlisten.owner = www-data\nlisten.group = www-data\n;listen.mode = 0660\n\
    pm = dynamic\npm.max_children = 5\npm.start_servers = 2\npm.min_spare_servers = 1\npm.max_spare_servers = 3\n\
    ;pm.process_idle_timeout = 10s;\n";
const DOCKER: &str = "[global]\nerror_log = /proc/self/fd/2\n\n; https://github.com/docker-library/php/pull/725#issuecomment-443540114\n\
    log_limit = 8192\n\n[www]\n; php-fpm closes STDOUT on startup\naccess.log = /proc/self/fd/2\n\nclear_env = no\n\n\
    catch_workers_output = yes\ndecorate_workers_output = no\n";
const ZZ_DOCKER: &str = "[global]\ndaemonize = no\n\n[www]\nlisten = 9000\n";

const POOL: &str = "[www]\nuser = nobody\nlisten = 127.0.0.1:9000\npm = static\npm.max_children = 1\n";

/// Text that is inserted into a valid pool.
const IN_POOL: &[&str] = include!("in_pool.in");

/// Text that is inserted before a valid pool.
const IN_GLOBAL: &[&str] = include!("in_global.in");

/// Whole files.
const WHOLE: &[&str] = include!("whole.in");

/// The hand-written ones.
pub(crate) fn written() -> Vec<Case> {
    let global = "[global]\nerror_log = {{DIR}}/log/error\n";
    let case = |name: &str, text: &str, conf: String| Case {
        name: format!("{name}: {}", text.lines().next().unwrap_or_default()),
        conf,
        prefixed: false,
    };
    let pools = IN_POOL.iter().map(|text| case("pool", text, format!("{global}{POOL}{text}\n")));
    let globals = IN_GLOBAL.iter().map(|text| case("global", text, format!("{global}{text}\n{POOL}")));
    let wholes = WHOLE.iter().map(|text| case("whole", text, format!("{global}{text}")));
    let mut cases: Vec<Case> = pools.chain(globals).chain(wholes).collect();
    let prefixed =
        IN_POOL.iter().map(|text| Case { prefixed: true, ..case("prefixed", text, format!("{global}{POOL}{text}\n")) });
    cases.extend(prefixed);
    cases
}

/// The samples and the configurations in the tests of php-src.
pub(crate) fn of_php_source(source: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for sample in ["php-fpm.conf.in", "www.conf.in"] {
        let text = fs::read_to_string(source.join("sapi/fpm").join(sample)).unwrap();
        let text = text.replace("@php_fpm_user@", "nobody").replace("@php_fpm_group@", "nogroup");
        let text = text.replace("@php_fpm_sysconfdir@/php-fpm.d", "{{DIR}}/sub").replace("@EXPANDED_PHP_FPM_D@", "sub");
        cases.push(Case { name: sample.to_owned(), conf: text.clone(), prefixed: true });
        let all = text.lines().map(|line| line.strip_prefix(';').filter(|_| line.contains(" = ")).unwrap_or(line));
        let conf = all.collect::<Vec<_>>().join("\n");
        cases.push(Case { name: format!("{sample}, all uncommented"), conf, prefixed: true });
    }
    for entry in fs::read_dir(source.join("sapi/fpm/tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "phpt") {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            cases.extend(heredocs(&text).map(|conf| Case { name: name.clone(), conf, prefixed: true }));
        }
    }
    cases
}

/// The here-documents of a test that look like configurations.
fn heredocs(test: &str) -> impl Iterator<Item = String> + '_ {
    let parts = test.split("<<<EOT\n").skip(1).filter_map(|part| part.split_once("\nEOT").map(|(text, _)| text));
    parts
        .filter(|text| text.contains("[global]") || text.contains("listen"))
        // Not every stock php-fpm is built with AppArmor.
        .filter(|text| !text.contains("apparmor_hat"))
        .map(filled)
}

/// The placeholders of php-src's tester, roughly.
fn filled(conf: &str) -> String {
    let mut text = String::new();
    let mut rest = conf;
    while let Some((head, tail)) = rest.split_once("{{") {
        let (name, tail) = tail.split_once("}}").unwrap_or((tail, ""));
        text += head;
        text += match name.split('[').next().unwrap_or_default() {
            "FILE:LOG" | "FILE:LOG:ERR" => "{{DIR}}/log/error",
            "FILE:LOG:ACC" => "{{DIR}}/log/access",
            "FILE:LOG:SLOW" => "{{DIR}}/log/slow",
            "RFILE:LOG:ACC" | "RFILE:LOG:ERR" | "RFILE:LOG:SLOW" => "log/relative",
            "FILE:PID" => "{{DIR}}/run/pid",
            "RFILE:PID" => "run/pid",
            "ADDR:UDS" => "{{DIR}}/run/socket",
            "ADDR:IPv6" => "[::1]:9000",
            "PORT" => "9000",
            "INCLUDE:CONF" => "{{DIR}}/sub/*.conf",
            "USER" => "nobody",
            "GROUP" => "nogroup",
            "UID" | "GID" => "65534",
            "STDERR" => "/dev/stderr",
            "STDOUT" => "/dev/stdout",
            _ => "127.0.0.1:9000",
        };
        rest = tail;
    }
    text + rest
}
