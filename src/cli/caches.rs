//! `php-fpm cache` and `php-fpm opcache`: what they are to do, and for which pools.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::WrongOption;

/// What a command about caches is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheCommand {
    /// Its words.
    pub verb: CacheVerb,
    /// `--pool`, which may be repeated: names of pools and groups. None: all.
    pub pools: BTreeSet<String>,
    /// `--json`.
    pub json: bool,
}

/// The words of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheVerb {
    /// `cache clear`
    ClearFileCaches,
    /// `opcache reset`
    ResetOpcache,
}

/// The first words of these commands.
const FIRST: [&str; 2] = ["cache", "opcache"];

/// Whether a word is the first of such a command.
pub(super) fn begins(word: &OsString) -> bool {
    FIRST.iter().any(|first| word == first)
}

/// Takes words and options of the command out of the arguments, the first of which is its first word. The others are left.
///
/// # Errors
/// An unknown word, or a missing one.
pub(super) fn take(arguments: &[OsString]) -> Result<(CacheCommand, Vec<OsString>), WrongOption> {
    let mut words = arguments.iter();
    let first = words.next().map(OsString::as_os_str).unwrap_or_default();
    let (mut second, mut pools, mut json, mut others) = (None, BTreeSet::new(), false, Vec::new());
    while let Some(argument) = words.next() {
        let text = argument.to_str().unwrap_or_default();
        match text {
            "--json" => json = true,
            "--pool" => {
                let name = words.next().and_then(|name| name.to_str());
                pools.insert(name.ok_or_else(|| WrongOption("--pool needs a name".to_owned()))?.to_owned());
            }
            _ => match text.strip_prefix("--pool=") {
                Some(name) => drop(pools.insert(name.to_owned())),
                None if second.is_none() && !text.starts_with('-') => second = Some(text),
                None => {
                    others.push(argument.clone());
                    others.extend(value_of(text).then(|| words.next().cloned()).flatten());
                }
            },
        }
    }
    let verb = match (first.to_str(), second) {
        (Some("cache"), Some("clear")) => CacheVerb::ClearFileCaches,
        (Some("opcache"), Some("reset")) => CacheVerb::ResetOpcache,
        (_, None) => return Err(WrongOption("a word is missing".to_owned())),
        (_, Some(word)) => return Err(WrongOption(format!("there is no '{}' {word}", first.display()))),
    };
    Ok((CacheCommand { verb, pools, json }, others))
}

/// Whether the next argument is the value of this option.
fn value_of(option: &str) -> bool {
    matches!(
        option,
        "-c" | "-d" | "-y" | "-p" | "-g" | "--php-ini" | "--define" | "--fpm-config" | "--prefix" | "--pid"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<(CacheCommand, Vec<OsString>), WrongOption> {
        take(&text.split_ascii_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn words_and_options_are_taken() {
        let (command, others) = taken("opcache --pool a -y /etc/x.conf reset --pool=b --json").unwrap();
        let pools = ["a", "b"].map(str::to_owned).into();
        assert_eq!(command, CacheCommand { verb: CacheVerb::ResetOpcache, pools, json: true });
        assert_eq!(others, ["-y", "/etc/x.conf"]);
        assert_eq!(taken("cache clear").unwrap().0.verb, CacheVerb::ClearFileCaches);
    }

    #[test]
    fn wrong_words_are_told() {
        let wrong = |text| taken(text).unwrap_err().0;
        assert_eq!(wrong("opcache"), "a word is missing");
        assert_eq!(wrong("cache reset"), "there is no 'cache' reset");
        assert_eq!(wrong("cache clear --pool"), "--pool needs a name");
        assert_eq!(taken("cache clear now").unwrap().1, ["now"], "left for the other options, which refuse it");
    }
}
