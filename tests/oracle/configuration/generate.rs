//! Random configurations: every directive with every kind of value, and noise in the syntax.

use cgi_fpm::config::{Directive, Dumped, GLOBAL_DIRECTIVES, Kind, POOL_DIRECTIVES};
use testkit::random::Random;

use super::Case;

fn word(random: &mut Random, from: &[&'static str]) -> &'static str {
    random.of(from).copied().unwrap_or_default()
}

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "2",
    "-1",
    "10",
    "600",
    "64",
    "abc",
    "10s",
    "2m",
    "1h",
    "1d",
    "s",
    "99999999999",
    "on",
    "Off",
    "yes",
    "'yes'",
    "\"no\"",
    "null",
    "none",
    "E_ALL",
    "~1",
    "1|2",
    "(3)",
    "$pool",
    "x$pool",
    "${HOME}",
    "${NOPE}",
    "$prefix/root",
    "{{DIR}}/sub",
    "{{DIR}}/log/x",
    "{{DIR}}/none/x",
    "log/x",
    "sub",
    "a b c",
    "a=b",
    "a;b",
    "\"a;b\"",
    "debug",
    "error",
    "local1",
    "dynamic",
    "static",
    "ondemand",
    "unlimited",
    "/x",
    "/x/y-z_1.~",
    "9005",
    "127.0.0.1:9006",
    "nobody",
    "nosuchuser",
    "epoll",
    "poll",
    "'%R %{x}e'",
    "\"%{mili}d %t\"",
    "\"a\\\"b\\\\\"",
    ".php .x",
    "!x",
    "5 | 8 & 12",
    "foo$",
];

const NOISE: &[&str] = &[
    "\"", "'", ";", "=", "[", "]", "{", "}", "(", ")", "$", "${", "\\", "&", "|", "^", "~", "!", " ", "\t", "\r", "#",
    ":", "-", "\u{e4}", "yes", "null", "0", ".",
];

const KEYS: &[&str] = &["A", "error_log", "x.y", "", "a b", "'q'", "\"d\"", "${HOME}", "1", "-2.5"];

const LISTS: &[&str] =
    &["env", "php_value", "php_flag", "php_admin_value", "php_admin_flag", "access.suppress_path", "php_valu"];

const INCLUDES: &[&str] = &[
    "{{DIR}}/sub/*.conf",
    "sub/a.conf",
    "'{{DIR}}/sub/[ab].conf'",
    "\"{{DIR}}/s*/b.con?\"",
    "sub/[!b]*.conf ; c",
    "{{DIR}}/sub",
    "{{DIR}}/none",
    "{{DIR}}/wrong.inc",
    "{{DIR}}/self.inc",
    "pool.d/www.conf",
    "$pool/*.conf",
    "${NOPE}sub/b.conf",
];

/// This number of cases, the same for the same seed.
pub(crate) fn cases(number: usize, seed: u64) -> Vec<Case> {
    let mut random = Random::new(seed);
    let case = |index| Case { name: format!("generated {index}"), conf: conf(&mut random), prefixed: true };
    (0..number).map(case).collect()
}

fn conf(random: &mut Random) -> String {
    let mut lines = vec!["[global]".to_owned(), "error_log = {{DIR}}/log/error".to_owned()];
    for _ in 0..random.below(3) {
        let directive = directive(random, GLOBAL_DIRECTIVES);
        lines.push(format!("{} = {}", directive.name, value(random, directive)));
    }
    for pool in 0..1 + random.below(2) {
        lines.push(format!("[p{pool}]"));
        let base = ["user = nobody", "pm = static", "pm.max_children = 3"];
        lines.extend(base.map(str::to_owned));
        lines.push(format!("listen = 127.0.0.1:900{pool}"));
        for _ in 0..random.below(4) {
            lines.push(pool_line(random));
        }
        if random.below(10) == 0 {
            lines.push(format!("include = {}", word(random, INCLUDES)));
            lines.push(pool_line(random));
        }
    }
    for _ in 0..random.below(8).saturating_sub(5) {
        let line = random.below(lines.len());
        let places: Vec<usize> = lines[line].char_indices().map(|(at, _)| at).collect();
        let at = places.get(random.below(places.len().max(1))).copied().unwrap_or(0);
        lines[line].insert_str(at, word(random, NOISE));
    }
    lines.join("\n") + "\n"
}

/// A directive that every php-fpm has.
fn directive(random: &mut Random, table: &'static [Directive]) -> &'static Directive {
    let common: Vec<&Directive> = table.iter().filter(|directive| directive.dumped == Dumped::Always).collect();
    common[random.below(common.len())]
}

/// A value, usually a valid one for the directive.
fn value(random: &mut Random, directive: &Directive) -> &'static str {
    if random.below(5) == 0 {
        return word(random, VALUES);
    }
    word(
        random,
        match directive.kind {
            Kind::Integer(_) | Kind::CoreLimit => &["0", "1", "3", "512", "2000", "'7'", "4 | 1", "~0", "(2)"],
            Kind::Priority => &["-19", "0", "20", "64", "5"],
            Kind::Seconds(_) | Kind::PlainSeconds(_) | Kind::Milliseconds(_) => {
                &["0", "1", "10s", "2m", "1h", "1d", "\"3s\""]
            }
            Kind::Flag(_) => &["yes", "No", "ON", "off", "1", "0", "true", "none", "null", "\"yes\""],
            Kind::LogLevel => &["debug", "Notice", "warning", "error", "alert"],
            Kind::Facility => &["daemon", "LOCAL0", "Mail"],
            Kind::ProcessManager => &["static", "Static"],
            Kind::Bytes => &["64K", "256m", "1G"],
            Kind::FastcgiPhpValue => &["on", "user", "off"],
            Kind::OnSigterm => &["fast", "graceful"],
            Kind::StartFailure => &["retry", "stop"],
            Kind::BaseUse => &["auto", "yes", "no"],
            Kind::LogFormat => &["default", "classic", "json"],
            Kind::Text => text(directive.name),
        },
    )
}

fn text(name: &str) -> &'static [&'static str] {
    match name {
        "listen" | "pm.status_listen" => {
            &["127.0.0.1:9100", "9101", "{{DIR}}/run/s", "run/$pool", "[::1]:9102", "$pool"]
        }
        "user" | "group" | "listen.owner" | "listen.group" => &["root", "0", "12", "'root'"],
        "prefix" | "chdir" | "chroot" => &["{{DIR}}", "{{DIR}}/sub", "sub", "root", "/"],
        "pm.status_path" | "ping.path" => &["/status", "/a/b-c", "/$pool"],
        "error_log" | "slowlog" | "access.log" | "pid" => {
            &["log/$pool", "log/x", "{{DIR}}/log/y", "log/x y", "log/${NOPE}z"]
        }
        "access.format" => &["'%R %{x}e'", "\"%{mili}d %t\"", "\"%m \\\"%r\\\" %s\"", "%R"],
        "events.mechanism" => &["epoll", "Poll", "select"],
        _ => &["x", "a b", "'a;b'", "\"$pool\"", "${HOME}", "E_ALL & ~8", "0660", "", "a,b"],
    }
}

/// Values of `access.format`: valid ones, ones that need or refuse text in braces, and pieces.
const FORMAT_PARTS: &[&str] = &[
    "%R",
    "%t",
    "%{%Y}T",
    "%{milliseconds}d",
    "%{MILI}d",
    "%d",
    "%{x}d",
    "%{kilo}M",
    "%{user}C",
    "%C",
    "%e",
    "%{A}e",
    "%{X-Y}o",
    "%o",
    "%f",
    "%{f}f",
    "%%",
    "%",
    "%z",
    "{",
    "}",
    "%{",
    "%{}m",
    "x ",
    "%{a}{b}e",
    "%l %m %n %p %P %q %Q %r %s %u",
];

fn pool_line(random: &mut Random) -> String {
    let blank = word(random, &["", " ", "\t", "  "]);
    let after = word(random, &["", "", " ", " ; c"]);
    if random.below(12) == 0 {
        let parts: String = (0..=random.below(4)).map(|_| word(random, FORMAT_PARTS)).collect();
        return format!("access.log = log/x\naccess.format{blank}={blank}'{parts}'{after}");
    }
    if random.below(3) == 0 {
        let (list, key, value) = (word(random, LISTS), word(random, KEYS), word(random, VALUES));
        return format!("{list}[{key}]{blank}={blank}{value}{after}");
    }
    let directive = directive(random, POOL_DIRECTIVES);
    format!("{}{blank}={blank}{}{after}", directive.name, value(random, directive))
}
