//! Properties of the rules that find a script.

use cgi_fpm::script::env::Env;
use cgi_fpm::script::guard::stays_below;
use cgi_fpm::script::resolve::{Files, Script, resolve};

use super::{Case, FILES, Rules};

/// The root of the site in the property test.
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

/// Whatever the server says: a script exists, no path leaves the root, and only permitted variables change.
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
    // Variables that are not corrected keep their order: the last to arrive comes first.
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
    // As in php-fpm: the script that Apache's Action names is found below it, but not used if SCRIPT_FILENAME already
    // contains it.
    let not_taken = case.given("PATH_TRANSLATED") == Some(path) && case.given("REDIRECT_URL").is_some();
    if fixed && !not_taken {
        assert!(path.is_empty() || Site.exists(path), "{case:?}: {path:?} doesn't exist");
        assert_eq!(env.value(b"SCRIPT_FILENAME"), Some(path), "{case:?}");
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}
