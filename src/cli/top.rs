//! The options of `php-fpm top`.

use std::ffi::OsString;

use super::health::WrongOption;

/// How `php-fpm top` shows the pools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    /// `--pool`: this pool, with its workers and requests.
    pub pool: Option<String>,
    /// `--once`: a table is printed once.
    pub once: bool,
    /// `--json`: the monitor's JSON is printed.
    pub json: bool,
}

/// Takes the options of `top` out of the arguments. The others are left.
///
/// # Errors
/// `--pool` without a name.
pub(super) fn take(arguments: &[OsString]) -> Result<(Top, Vec<OsString>), WrongOption> {
    let (mut top, mut others) = (Top::default(), Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        match text {
            "--once" => top.once = true,
            "--json" => top.json = true,
            "--pool" => {
                let name = arguments.next().and_then(|name| name.to_str());
                top.pool = Some(name.ok_or_else(|| WrongOption("--pool needs a value".to_owned()))?.to_owned());
            }
            _ => match text.strip_prefix("--pool=") {
                Some(name) => top.pool = Some(name.to_owned()),
                None => others.push(argument.clone()),
            },
        }
    }
    Ok((top, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<(Top, Vec<OsString>), WrongOption> {
        take(&text.split_ascii_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_taken_and_others_left() {
        let (top, others) = taken("--once -y /etc/x.conf --pool www --json").unwrap();
        assert_eq!(top, Top { pool: Some("www".to_owned()), once: true, json: true });
        assert_eq!(others, ["-y", "/etc/x.conf"]);
        assert_eq!(taken("--pool=a=b").unwrap().0.pool.as_deref(), Some("a=b"));
        assert_eq!(taken("--pool").unwrap_err().0, "--pool needs a value");
        assert_eq!(taken("--once=1").unwrap().1, ["--once=1"], "left for the other options, which refuse it");
    }
}
