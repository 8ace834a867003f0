//! Statements of web servers and attackers about a script, made out of bytes, and the properties that the path rules
//! must have for each: shared by the property test, the fuzz target and the comparison with stock php-fpm.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses its part; so does the fuzz target"
)]

pub mod rules;

use cgi_fpm::script::resolve::Settings;

use rules::ROOT;

/// The site's files, below its root. `link.php` points to `info.php`, `broken.php` to nothing.
pub const FILES: [&str; 7] =
    ["info.php", "a%20b.php", "a b.php", "dir/index.php", "dir.php/inner.php", "text.txt", "link.php"];

/// The ini entries that the rules read, as the pools of the comparison set them.
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

/// Choices, one byte each; the first choice when no bytes are left.
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

/// A script as a URL path, and the text after it.
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

/// Changes the order, repeats a name, or adds a byte that is not text.
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

/// The usual values of that variable from web servers.
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
        // Apache's Action: the program instead of the script.
        4 if often => Some(format!("/cgi-bin/php-cgi{}", info)),
        way => Some(usual[way % usual.len()].clone()),
    }
}

fn decoded(text: &str) -> String {
    [("%20", " "), ("%2F", "/"), ("%2f", "/"), ("%0a", "\n")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
