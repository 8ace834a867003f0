//! What web servers and attackers say of a script, made out of bytes, and what the path rules must hold for any of it:
//! shared by the property test, the fuzz target and the comparison with stock php-fpm.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses its part; so does the fuzz target"
)]

use cgi_fpm::script::env::Env;
use cgi_fpm::script::guard::stays_below;
use cgi_fpm::script::resolve::{Files, Script, Settings, resolve};

/// The site's files, below its root. `link.php` points to `info.php`, `broken.php` to nothing.
pub const FILES: [&str; 7] =
    ["info.php", "a%20b.php", "a b.php", "dir/index.php", "dir.php/inner.php", "text.txt", "link.php"];

/// The ini entries that the rules ask, as the pools of the comparison have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    Fix,
    Believe,
    Discard,
    DocRoot,
}

impl Rules {
    pub const ALL: [Self; 4] = [Self::Fix, Self::Believe, Self::Discard, Self::DocRoot];

    fn settings(self, decode: bool) -> Settings<'static> {
        Settings {
            fix_pathinfo: matches!(self, Self::Fix | Self::DocRoot),
            discard_path: self == Self::Discard,
            doc_root: (self == Self::DocRoot).then_some(ROOT.as_bytes()),
            decode,
        }
    }
}

/// A request's variables, in order.
#[derive(Debug, Clone)]
pub struct Case {
    pub rules: Rules,
    pub pairs: Vec<(&'static str, Vec<u8>)>,
}

/// Choices, a byte each; all the first when the bytes are used up.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    pub fn below(&mut self, count: usize) -> usize {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first) % count
    }

    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }
}

const SCRIPTS: [&str; 14] = [
    "/info.php",
    "/a%20b.php",
    "/a b.php",
    "/dir/index.php",
    "/dir.php/inner.php",
    "/dir.php",
    "/dir",
    "/dir/",
    "/text.txt",
    "/link.php",
    "/broken.php",
    "/none.php",
    "/none/info.php",
    "",
];

const PIECES: [&str; 24] = [
    "/",
    "/x",
    "/test",
    "a",
    "%2F",
    "%2f",
    "%20",
    " ",
    "%0a",
    "\n",
    "%00",
    "%",
    "%zz",
    "..",
    "/..",
    "/../",
    "\\",
    "?",
    "?q=1",
    "//",
    "info.php",
    "/info.php",
    "\u{e9}",
    ".",
];

const PROXIES: [&str; 8] = [
    "proxy:fcgi://localhost",
    "proxy:fcgi://127.0.0.1:9000",
    "proxy:balancer://pool",
    "PROXY:FCGI://h",
    "proxy:fcgi://",
    "proxy:unix:/run/php.sock|fcgi://localhost",
    "proxy:balancer://pool:80proxy:fcgi://h",
    "proxy:fcgi://h/proxy:balancer://b",
];

/// A script as a URL path, and what stands behind it.
struct Named {
    script: &'static str,
    info: String,
}

impl Case {
    /// Bytes as a case on a site at `root`.
    pub fn read(bytes: &[u8], root: &str) -> Self {
        let mut choices = Choices(bytes);
        let rules = choices.of(&Rules::ALL);
        let script = if choices.one_in(2) { choices.of(&SCRIPTS) } else { choices.of(&SCRIPTS[..5]) };
        let info = if choices.one_in(2) {
            text(&mut choices, 4)
        } else {
            choices.of(&["", "/test", "/a%20b", "/x/y"]).to_owned()
        };
        let named = Named { script, info };
        let mut pairs = Vec::new();
        for name in ["SCRIPT_FILENAME", "SCRIPT_NAME", "PATH_INFO", "PATH_TRANSLATED", "DOCUMENT_ROOT", "REDIRECT_URL"]
        {
            let value = value(name, &named, root, &mut choices);
            pairs.extend(value.map(|value| (name, value.into_bytes())));
        }
        if choices.one_in(3) {
            pairs
                .push(("SERVER_SOFTWARE", choices.of(&["Microsoft-IIS/10.0", "Apache/2", "", "microsoft-iis"]).into()));
        }
        if choices.one_in(3) {
            pairs.push(("REQUEST_URI", format!("{}{}?q", named.script, named.info).into()));
        }
        disturb(&mut pairs, &mut choices);
        Self { rules, pairs }
    }

    /// The last value of a name, up to its first NUL byte.
    fn given(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.pairs.iter().rev().find(|(known, _)| *known == name)?;
        value.split(|&byte| byte == 0).next()
    }
}

/// Another order, a name twice, a byte that isn't text.
fn disturb(pairs: &mut Vec<(&'static str, Vec<u8>)>, choices: &mut Choices<'_>) {
    let count = pairs.len().max(1);
    if choices.one_in(3) {
        let turn = choices.below(count) % pairs.len().max(1);
        pairs.rotate_left(turn);
    }
    if choices.one_in(6)
        && let Some((name, mut value)) = pairs.get(choices.below(count)).cloned()
    {
        value.extend_from_slice(text(choices, 2).as_bytes());
        pairs.push((name, value));
    }
    if choices.one_in(12) {
        let (at, byte) = (choices.below(count), choices.of(&[0, 0xff, 1]));
        if let Some((_, value)) = pairs.get_mut(at) {
            value.insert(choices.below(value.len() + 1), byte);
        }
    }
}

fn text(choices: &mut Choices<'_>, most: usize) -> String {
    let count = choices.below(most);
    (0..count).map(|_| choices.of(&PIECES)).collect()
}

/// What servers send as that variable, more often than not.
fn value(name: &str, named: &Named, root: &str, choices: &mut Choices<'_>) -> Option<String> {
    let Named { script, info } = named;
    let wild = text(choices, 5);
    let usual = match name {
        "SCRIPT_FILENAME" => {
            let proxy = if choices.one_in(3) { choices.of(&PROXIES) } else { "" };
            let query = if proxy.is_empty() { "" } else { choices.of(&["", "", "?q=1", "?"]) };
            [
                format!("{proxy}{root}{script}{info}{query}"),
                format!("{proxy}{root}{script}"),
                format!("{root}{script}{info}"),
            ]
        }
        "SCRIPT_NAME" => [format!("{script}{info}"), (*script).to_owned(), decoded(&format!("{script}{info}"))],
        "PATH_INFO" => [info.clone(), format!("{script}{info}"), decoded(info)],
        "PATH_TRANSLATED" => [format!("{root}{script}{info}"), format!("{root}{info}"), format!("{root}{script}")],
        "DOCUMENT_ROOT" => [root.to_owned(), format!("{root}/"), String::new()],
        _ => [(*script).to_owned(), format!("{script}{info}"), "/info.php".to_owned()],
    };
    let often = matches!(name, "SCRIPT_FILENAME" | "SCRIPT_NAME");
    match choices.below(if often { 12 } else { 6 }) {
        0 if !often => None,
        1 => None,
        2 => Some(wild),
        3 => Some(format!("{root}{wild}")),
        // Apache's Action: the program in place of the script.
        4 if often => Some(format!("/cgi-bin/php-cgi{}", info)),
        way => Some(usual[way % usual.len()].clone()),
    }
}

fn decoded(text: &str) -> String {
    [("%20", " "), ("%2F", "/"), ("%2f", "/"), ("%0a", "\n")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Where the site stands for the property.
pub const ROOT: &str = "/docroot";

/// The site's files in memory.
struct Site;

impl Files for Site {
    fn exists(&self, path: &[u8]) -> bool {
        let Some(path) = below_root(path) else { return false };
        FILES.iter().any(|file| {
            let file = file.as_bytes();
            file == path || path.is_empty() || (file.starts_with(path) && file.get(path.len()) == Some(&b'/'))
        })
    }

    fn is_file(&self, path: &[u8]) -> bool {
        below_root(path).is_some_and(|path| FILES.iter().any(|file| file.as_bytes() == path))
    }
}

fn below_root(path: &[u8]) -> Option<&[u8]> {
    let rest = path.strip_prefix(ROOT.as_bytes())?;
    let rest = rest.strip_suffix(b"/").unwrap_or(rest);
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

/// Variables that the rules may set.
const CORRECTED: [&str; 5] = ["SCRIPT_FILENAME", "SCRIPT_NAME", "PATH_INFO", "PATH_TRANSLATED", "DOCUMENT_ROOT"];

/// Whatever the server says: a script exists, paths never climb, and nothing is changed but what may be.
pub fn rules_hold(bytes: &[u8]) {
    let case = Case::read(bytes, ROOT);
    for decode in [false, true] {
        let mut env = Env::default();
        for (name, value) in &case.pairs {
            env.set(name.as_bytes(), value);
        }
        let script = resolve(&mut env, case.rules.settings(decode), &Site);
        check(&case, &env, script);
    }
}

fn check(case: &Case, env: &Env, script: Option<Script>) {
    let named = case.given("SCRIPT_FILENAME").is_some() || case.given("PATH_TRANSLATED").is_some();
    assert_eq!(script.is_some(), named, "{case:?}");
    if let Some(script) = script {
        check_script(case, env, script);
    }
    let known: Vec<(&[u8], &[u8])> = env.iter().map(|(name, value)| (env.bytes(name), env.bytes(value))).collect();
    for (name, value) in &known {
        assert!(!value.contains(&0), "{case:?}: {name:?}");
        let name = std::str::from_utf8(name).unwrap();
        match name.strip_prefix("ORIG_") {
            Some(name) => assert!(contains(case.given(name).unwrap(), value), "{case:?}: ORIG_{name} = {value:?}"),
            None if CORRECTED.contains(&name) => {}
            None => assert_eq!(case.given(name), Some(*value), "{case:?}: {name}"),
        }
    }
    // What isn't corrected stays in its order: the last to arrive comes first.
    let others = |name: &&str| !CORRECTED.contains(name);
    let mut expected: Vec<&str> = Vec::new();
    for (name, _) in &case.pairs {
        if !expected.contains(name) {
            expected.push(name);
        }
    }
    let left: Vec<&[u8]> = known.iter().map(|(name, _)| *name).filter(|name| !name.starts_with(b"ORIG_")).collect();
    let left: Vec<&str> = left.iter().map(|name| std::str::from_utf8(name).unwrap()).filter(others).collect();
    assert_eq!(left, expected.into_iter().rev().filter(others).collect::<Vec<_>>(), "{case:?}");
}

fn check_script(case: &Case, env: &Env, script: Script) {
    let fixed = matches!(case.rules, Rules::Fix | Rules::DocRoot);
    if script.missing {
        assert!(fixed && script.path.is_none() && env.get(b"SCRIPT_FILENAME").is_none(), "{case:?}: {script:?}");
    }
    let Some(path) = script.path else { return };
    let path = env.bytes(path);
    assert!(stays_below(path), "{case:?}: {path:?}");
    let given = ["SCRIPT_FILENAME", "PATH_TRANSLATED"].iter().filter_map(|name| case.given(name));
    assert!(given.into_iter().any(|given| contains(given, path)), "{case:?}: {path:?} comes from nowhere");
    // As in php-fpm: the script that Apache's Action names is found below it, but not taken, if SCRIPT_FILENAME has it already.
    let not_taken = case.given("PATH_TRANSLATED") == Some(path) && case.given("REDIRECT_URL").is_some();
    if fixed && !not_taken {
        assert!(path.is_empty() || Site.exists(path), "{case:?}: {path:?} doesn't exist");
        assert_eq!(env.value(b"SCRIPT_FILENAME"), Some(path), "{case:?}");
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}
