//! Configurations made at random: every directive with every kind of value, and noise in the syntax.

use cgi_fpm::config::{Directive, Dumped, GLOBAL_DIRECTIVES, POOL_DIRECTIVES};

use crate::Case;

/// A small generator of the xorshift family, so that a case number always means the same text.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit
    }

    fn of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
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

/// So many cases, always the same.
pub(crate) fn cases(number: usize) -> Vec<Case> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let case = |index| Case { name: format!("generated {index}"), conf: conf(&mut random), prefixed: true };
    (0..number).map(case).collect()
}

fn conf(random: &mut Random) -> String {
    let mut lines = vec!["[global]".to_owned(), "error_log = {{DIR}}/log/error".to_owned()];
    for _ in 0..random.below(3) {
        let name = name(random, GLOBAL_DIRECTIVES);
        lines.push(format!("{name} = {}", random.of(VALUES)));
    }
    for pool in 0..1 + random.below(2) {
        lines.push(format!("[p{pool}]"));
        let base = ["user = nobody", "pm = static", "pm.max_children = 3"];
        lines.extend(base.map(str::to_owned));
        lines.push(format!("listen = 127.0.0.1:900{pool}"));
        for _ in 0..random.below(4) {
            lines.push(pool_line(random));
        }
    }
    for _ in 0..random.below(8).saturating_sub(5) {
        let line = random.below(lines.len());
        let places: Vec<usize> = lines[line].char_indices().map(|(at, _)| at).collect();
        let at = places.get(random.below(places.len().max(1))).copied().unwrap_or(0);
        lines[line].insert_str(at, random.of(NOISE));
    }
    lines.join("\n") + "\n"
}

/// A directive that every php-fpm has.
fn name(random: &mut Random, table: &[Directive]) -> &'static str {
    let common: Vec<&str> =
        table.iter().filter(|directive| directive.dumped == Dumped::Always).map(|directive| directive.name).collect();
    common[random.below(common.len())]
}

fn pool_line(random: &mut Random) -> String {
    let blank = random.of(&["", " ", "\t", "  "]);
    let (value, after) = (random.of(VALUES), random.of(&["", "", " ", " ; c"]));
    if random.below(3) == 0 {
        let (list, key) = (random.of(LISTS), random.of(KEYS));
        return format!("{list}[{key}]{blank}={blank}{value}{after}");
    }
    let name = name(random, POOL_DIRECTIVES);
    format!("{name}{blank}={blank}{value}{after}")
}
