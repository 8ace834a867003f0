//! docs/security.md names the tests that show what it says: each of them exists.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use testkit::{Outcome, ensure};

use super::source;

const KINDS: [&str; 6] = ["library", "oracle", "pages", "sapi", "process", "load"];

/// The words between backticks that are paths of tests.
fn named(page: &str) -> Vec<Vec<&str>> {
    let code = page.split('`').skip(1).step_by(2).map(|word| word.split("::").collect::<Vec<_>>());
    code.filter(|path| path.len() > 1 && KINDS.contains(&path[0])).collect()
}

/// Whether the path is that of a module, or of a test in one.
fn exists(tests: &Path, path: &[&str]) -> bool {
    let file = |path: &[&str]| -> Option<PathBuf> {
        let place = path.iter().fold(tests.to_owned(), |place, part| place.join(part));
        [place.with_extension("rs"), place.join("mod.rs")].into_iter().find(|file| file.is_file())
    };
    let Some((test, module)) = path.split_last() else { return false };
    let has_test = |text: String| text.split("#[test]\n").skip(1).any(|rest| rest.starts_with(&format!("fn {test}()")));
    file(path).is_some() || file(module).and_then(|file| fs::read_to_string(file).ok()).is_some_and(has_test)
}

#[test]
fn each_test_exists() -> Outcome {
    let (tests, page) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), source("docs/security.md")?);
    let named = named(&page);
    ensure!(named.len() > 40, "only {} tests are found", named.len());
    let missing: Vec<String> = named.iter().filter(|path| !exists(&tests, path)).map(|path| path.join("::")).collect();
    ensure!(missing.is_empty(), "docs/security.md names what is no test: {missing:?}");
    ensure!(!exists(&tests, &["process", "walls", "claims", "no_such_test"]), "every name is found");
    Ok(())
}
