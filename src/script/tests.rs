//! The rules on the requests that web servers really send. Properties for any input are in tests/shared/script.

use super::env::Env;
use super::guard::{extension_allowed, stays_below};
use super::resolve::{Files, Script, Settings, resolve};

/// A file system of regular files; their directories exist.
struct Tree(&'static [&'static str]);

impl Files for Tree {
    fn exists(&self, path: &[u8]) -> bool {
        let path = path.strip_suffix(b"/").unwrap_or(path);
        self.0.iter().any(|file| {
            let file = file.as_bytes();
            file == path || (file.starts_with(path) && file.get(path.len()) == Some(&b'/'))
        })
    }

    fn is_file(&self, path: &[u8]) -> bool {
        self.0.iter().any(|file| file.as_bytes() == path)
    }
}

const FIX: Settings<'_> = Settings { fix_pathinfo: true, discard_path: false, doc_root: None, decode: false };
const SITE: Tree = Tree(&["/docroot/info.php", "/docroot/a%20b.php"]);

fn run(vars: &[(&str, &str)], settings: Settings<'_>) -> (Env, Option<Script>) {
    let mut env = Env::default();
    for (name, value) in vars {
        env.set(name.as_bytes(), value.as_bytes());
    }
    let script = resolve(&mut env, settings, &SITE);
    (env, script)
}

fn text(env: &Env, text: Option<super::env::Text>) -> String {
    text.map_or("-".to_owned(), |text| String::from_utf8_lossy(env.bytes(text)).into_owned())
}

/// The variables that the rules touch, as one line: what is equal to the input is left out.
fn changes(vars: &[(&str, &str)], env: &Env) -> Vec<String> {
    let mut lines: Vec<String> = env
        .iter()
        .map(|(name, value)| (text(env, Some(name)), text(env, Some(value))))
        .filter(|(name, value)| !vars.contains(&(name, value)))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    lines
        .extend(vars.iter().filter(|(name, _)| env.get(name.as_bytes()).is_none()).map(|(name, _)| format!("-{name}")));
    lines.sort();
    lines
}

#[track_caller]
fn check(vars: &[(&str, &str)], settings: Settings<'_>, path: &str, uri: &str, expected: &[&str]) {
    let (env, script) = run(vars, settings);
    let script = script.unwrap_or(Script { path: None, uri: None, missing: true });
    assert_eq!((text(&env, script.path).as_str(), text(&env, script.uri).as_str()), (path, uri));
    assert_eq!(changes(vars, &env), expected);
}

#[test]
fn a_plain_script_changes_nothing() {
    let vars = [("SCRIPT_FILENAME", "/docroot/info.php"), ("SCRIPT_NAME", "/info.php"), ("DOCUMENT_ROOT", "/docroot")];
    check(&vars, FIX, "/docroot/info.php", "/info.php", &[]);
}

#[test]
fn nginx_without_split_path_info() {
    let vars = [
        ("SCRIPT_FILENAME", "/docroot/info.php/test"),
        ("SCRIPT_NAME", "/info.php/test"),
        ("PATH_INFO", "/info.php/test"),
        ("DOCUMENT_ROOT", "/docroot/"),
    ];
    let expected = [
        "ORIG_PATH_INFO=/info.php/test",
        "ORIG_SCRIPT_FILENAME=/docroot/info.php/test",
        "ORIG_SCRIPT_NAME=/info.php/test",
        "PATH_INFO=/test",
        "PATH_TRANSLATED=/docroot/test",
        "SCRIPT_FILENAME=/docroot/info.php",
        "SCRIPT_NAME=/info.php",
    ];
    check(&vars, FIX, "/docroot/info.php", "/info.php", &expected);
}

#[test]
fn apache_proxy_pass_with_encoded_path_info() {
    let vars = [
        ("SCRIPT_FILENAME", "proxy:fcgi://localhost:9000/docroot/info.php/a%20b?x=y"),
        ("SCRIPT_NAME", "/info.php/a b"),
        ("DOCUMENT_ROOT", "/docroot"),
    ];
    let expected = [
        "ORIG_SCRIPT_FILENAME=/docroot/info.php/a%20b",
        "ORIG_SCRIPT_NAME=/info.php/a b",
        "PATH_INFO=/a%20b",
        "PATH_TRANSLATED=/docroot/a%20b",
        "SCRIPT_FILENAME=/docroot/info.php",
        "SCRIPT_NAME=/info.php",
    ];
    check(&vars, FIX, "/docroot/info.php", "/info.php", &expected);
    let (env, _) = run(&vars, Settings { decode: true, ..FIX });
    assert_eq!(env.value(b"PATH_INFO"), Some(&b"/a b"[..]));
    assert_eq!(env.value(b"PATH_TRANSLATED"), Some(&b"/docroot/a b"[..]));
    let cut = [("SCRIPT_FILENAME", "proxy:fcgi://h/docroot/info.php/a%00b"), vars[1], vars[2]];
    let (env, _) = run(&cut, Settings { decode: true, ..FIX });
    assert_eq!(env.value(b"PATH_INFO"), Some(&b"/a"[..]));
    assert_eq!(env.value(b"PATH_TRANSLATED"), Some(&b"/docroot/a"[..]));
}

#[test]
fn apache_balancer_with_an_existing_script() {
    let vars = [("SCRIPT_FILENAME", "PROXY:balancer://pool/docroot/info.php?q"), ("SCRIPT_NAME", "/info.php")];
    check(&vars, FIX, "/docroot/info.php", "/info.php", &["SCRIPT_FILENAME=/docroot/info.php"]);
}

#[test]
fn apache_action_names_the_script_in_path_translated() {
    let vars = [
        ("SCRIPT_FILENAME", "/usr/bin/php-cgi"),
        ("SCRIPT_NAME", "/php-bin/php-cgi"),
        ("PATH_TRANSLATED", "/docroot/info.php"),
        ("PATH_INFO", "/info.php"),
        ("REDIRECT_URL", "/info.php"),
    ];
    let expected = [
        "-PATH_INFO",
        "-PATH_TRANSLATED",
        "ORIG_PATH_INFO=/info.php",
        "ORIG_PATH_TRANSLATED=/docroot/info.php",
        "ORIG_SCRIPT_FILENAME=/usr/bin/php-cgi",
        "ORIG_SCRIPT_NAME=/php-bin/php-cgi",
        "SCRIPT_FILENAME=/docroot/info.php",
        "SCRIPT_NAME=/info.php",
    ];
    check(&vars, FIX, "/docroot/info.php", "/info.php", &expected);
}

#[test]
fn iis_repeats_the_script_name() {
    let vars = [
        ("SERVER_SOFTWARE", "Microsoft-IIS/10.0"),
        ("SCRIPT_FILENAME", "/docroot/info.php"),
        ("SCRIPT_NAME", "/info.php"),
        ("PATH_INFO", "/info.php/x"),
    ];
    check(&vars, FIX, "/docroot/info.php", "/info.php", &["ORIG_PATH_INFO=/info.php/x", "PATH_INFO=/x"]);
}

#[test]
fn a_missing_script_is_forgotten() {
    let vars = [("SCRIPT_FILENAME", "/docroot/none.php"), ("SCRIPT_NAME", "/none.php")];
    let expected = ["-SCRIPT_FILENAME", "ORIG_SCRIPT_FILENAME=/docroot/none.php"];
    check(&vars, FIX, "-", "/none.php", &expected);
}

#[test]
fn without_the_fix_the_server_is_believed() {
    let plain = Settings { fix_pathinfo: false, ..FIX };
    let vars = [("SCRIPT_FILENAME", "/x"), ("PATH_TRANSLATED", "/docroot/info.php"), ("PATH_INFO", "/i")];
    check(&vars, plain, "/docroot/info.php", "/i", &[]);
    check(&vars, Settings { discard_path: true, ..plain }, "/x", "/i", &[]);
}

/// CVE-2019-11043: a newline in the URI left PATH_INFO empty, and the fix-up wrote in front of it.
#[test]
fn an_empty_path_info_moves_nothing() {
    let vars = [
        ("SCRIPT_FILENAME", "/docroot/info.php/PHP\nis_the_shittiest_lang.php"),
        ("SCRIPT_NAME", "/info.php/PHP\nis_the_shittiest_lang.php"),
        ("PATH_INFO", ""),
        ("DOCUMENT_ROOT", "/docroot"),
    ];
    let (env, script) = run(&vars, FIX);
    assert_eq!(text(&env, script.and_then(|script| script.path)), "/docroot/info.php");
    assert_eq!(env.value(b"PATH_INFO"), Some(&b""[..]));
}

#[test]
fn no_script_is_named() {
    assert_eq!(run(&[("SCRIPT_NAME", "/x")], FIX).1, None);
}

#[test]
fn dot_dot_is_refused() {
    assert!(stays_below(b"/a/..b/c../d"));
    for path in ["..", "/a/..", "../a", "/a/../b"] {
        assert!(!stays_below(path.as_bytes()), "{path}");
    }
}

#[test]
fn extensions_are_compared_as_they_are() {
    let allowed = [b".php".to_vec(), b".phar".to_vec()];
    assert!(extension_allowed(b"/a.php", &allowed));
    assert!(extension_allowed(b"/a.phtml", &[]));
    for path in ["/a.PHP", ".php", "/a.php5", "/a.jpg"] {
        assert!(!extension_allowed(path.as_bytes(), &allowed), "{path}");
    }
}

#[test]
fn a_repeated_name_keeps_its_place_and_takes_the_later_value() {
    let mut env = Env::default();
    env.set(b"A", b"1");
    env.set(b"B", b"2\0cut");
    env.set(b"A", b"3");
    env.set(b"C", b"4");
    env.remove(b"C");
    let list: Vec<_> = env.iter().map(|(name, value)| (env.bytes(name), env.bytes(value))).collect();
    assert_eq!(list, [(&b"B"[..], &b"2"[..]), (b"A", b"3")]);
}
