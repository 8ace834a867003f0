//! The patterns of `include=`, as glob(3) reads them with GLOB_ERR and GLOB_MARK: `*`, `?`, `[a-z]`, `[!a]`, `\x`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a pattern has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GlobError {
    /// A directory cannot be read.
    Aborted,
    /// Nothing matches.
    NoMatch,
}

/// The existing paths that match, sorted by bytes; directories are left out.
pub(super) fn files(pattern: &str) -> Result<Vec<PathBuf>, GlobError> {
    let root = if pattern.starts_with('/') { PathBuf::from("/") } else { PathBuf::new() };
    let mut found = vec![root];
    let mut plain = true;
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        plain &= !has_wildcard(part);
        found = if has_wildcard(part) { listed(&found, part)? } else { named(&found, part) };
        if !plain {
            found.retain(|path| path.symlink_metadata().is_ok());
        }
    }
    if pattern.ends_with('/') {
        found.retain(|path| path.is_dir());
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    if found.is_empty() {
        return Err(GlobError::NoMatch);
    }
    found.retain(|path| !path.is_dir());
    found.sort();
    Ok(found)
}

fn has_wildcard(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

/// Appends a component without wildcards to each path.
fn named(bases: &[PathBuf], part: &str) -> Vec<PathBuf> {
    bases.iter().map(|base| base.join(part.replace('\\', ""))).collect()
}

/// Appends to each path the names in its directory that match.
fn listed(bases: &[PathBuf], part: &str) -> Result<Vec<PathBuf>, GlobError> {
    let pattern = part.as_bytes();
    let hidden = pattern.first() == Some(&b'.');
    let mut found = Vec::new();
    for base in bases {
        let names = match names(base) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => continue,
            names => names.map_err(|_| GlobError::Aborted)?,
        };
        let matching = names.iter().filter(|name| {
            let name = name.as_encoded_bytes();
            (hidden || name.first() != Some(&b'.')) && matches(pattern, name)
        });
        found.extend(matching.map(|name| base.join(name)));
    }
    Ok(found)
}

fn names(dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
}

/// Whether the whole name matches the pattern of one component.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut byte) = (0, 0);
    // Where to resume if the text after the last star does not match.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            retry = Some((at + 1, byte));
            at += 1;
            continue;
        }
        if at == pattern.len() && byte == name.len() {
            return true;
        }
        let next = name.get(byte).and_then(|byte| one(&pattern[at..], *byte));
        if let Some(len) = next {
            at += len;
            byte += 1;
            continue;
        }
        match retry {
            Some((after, from)) if from < name.len() => {
                retry = Some((after, from + 1));
                (at, byte) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

/// The number of bytes of the pattern that match this byte of the name.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'\\'] => None,
        [b'[', set @ ..] => match class(set, byte) {
            Some((true, len)) => Some(len + 1),
            Some((false, _)) => None,
            None => (byte == b'[').then_some(1),
        },
        [plain, ..] => (*plain == byte).then_some(1),
    }
}

/// Whether the byte is in the set after a `[`, and the length of the set; `None` if the set is not closed.
fn class(set: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(set.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    let mut at = start;
    let mut hit = false;
    loop {
        if set.get(at) == Some(&b']') && at > start {
            return Some((hit != negated, at + 1));
        }
        let (low, after) = member(set, at)?;
        let range = set.get(after) == Some(&b'-') && set.get(after + 1).is_some_and(|end| *end != b']');
        let (high, after) = if range { member(set, after + 1)? } else { (low, after) };
        hit |= (low..=high).contains(&byte);
        at = after;
    }
}

/// A byte of a set, which a backslash may stand before, and where the next one is.
fn member(set: &[u8], at: usize) -> Option<(u8, usize)> {
    match set.get(at)? {
        b'\\' => Some((*set.get(at + 1)?, at + 2)),
        byte => Some((*byte, at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_component() {
        let yes = [("*", "a"), ("a*c", "abbc"), ("*.conf", ".conf"), ("a?c", "abc"), ("[a-c]x", "bx"), ("[!a]", "b")];
        let more =
            [("[]a]", "]"), ("[a-]", "-"), ("\\*", "*"), ("[x", "[x"), ("**", "x"), ("*a*b*", "xaxbx"), ("[^a]", "b")];
        let escaped = [("[\\]]", "]"), ("[!\\]]", "a"), ("[a\\-c]", "-"), ("[\\a-c]", "b"), ("[x\\]", "[x]")];
        for (pattern, name) in yes.into_iter().chain(more).chain(escaped) {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("a", "b"),
            ("*.conf", "a.con"),
            ("?", ""),
            ("[!a]", "a"),
            ("a", "ab"),
            ("[a]", ""),
            ("\\*", "x"),
            ("a\\", "a\\"),
            ("[a\\-c]", "b"),
        ] {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn files_in_order_without_hidden_ones_and_directories() {
        let place = tempfile::tempdir().unwrap();
        for dir in ["d1", "d2", "d1/sub.conf"] {
            fs::create_dir(place.path().join(dir)).unwrap();
        }
        for file in ["d2/a.conf", "d1/b.conf", "d1/a.conf", "d1/.h.conf", "d1/x"] {
            fs::write(place.path().join(file), "").unwrap();
        }
        let base = place.path().to_str().unwrap();
        let found = |pattern: &str| {
            let found = files(&format!("{base}/{pattern}"))?;
            Ok(found
                .iter()
                .map(|path| path.strip_prefix(base).unwrap().to_str().unwrap().to_owned())
                .collect::<Vec<_>>())
        };
        assert_eq!(found("*/*.conf").unwrap(), ["d1/a.conf", "d1/b.conf", "d2/a.conf"]);
        assert_eq!(found("d1/.*.conf").unwrap(), ["d1/.h.conf"]);
        assert_eq!(found("d?/x").unwrap(), ["d1/x"]);
        assert_eq!(found("d1"), Ok(vec![]));
        assert_eq!(found("none/*"), Err(GlobError::Aborted));
        assert_eq!(found("none/x"), Err(GlobError::NoMatch));
        assert_eq!(found("d1/*.none"), Err(GlobError::NoMatch));
        assert_eq!(found("d1/x/*"), Err(GlobError::NoMatch));
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_makes_it_panic(pattern: Vec<u8>, name: Vec<u8>) {
            matches(&pattern, &name);
        }
    }
}
