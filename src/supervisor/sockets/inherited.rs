//! Sockets that a stock php-fpm hands over: on SIGUSR2 it executes the program at its own path, with `FPM_SOCKETS` in the
//! environment: `/run/www.sock=7,127.0.0.1:9000=8`; from the 129th socket on `FPM_SOCKETS_1`, and so on.

use std::collections::HashSet;
use std::os::fd::RawFd;

use crate::log::{self, messages::sockets as messages};
use crate::supervisor::sockets::activation::Passed;
use crate::supervisor::sockets::error::Ignored;
use crate::supervisor::sockets::listeners::{Listener, Sockets};
use crate::sys::{inherited, listen, single_threaded};

/// php-fpm reads no more variables than these.
const MOST_VARIABLES: usize = 256;
/// Below are standard streams.
const FIRST: RawFd = 3;

/// The sockets that `FPM_SOCKETS` names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct InheritedSockets {
    /// The values of the variables, in order.
    values: Vec<String>,
    /// Descriptors that are systemd's. Some have it start php-fpm with a `FPM_SOCKETS` that names them; they are found by their
    /// addresses (`activation.rs`).
    passed: Vec<RawFd>,
}

/// One socket that is named.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) raw: RawFd,
}

impl InheritedSockets {
    /// Takes it out of the environment, so that no script sees it.
    #[must_use]
    pub(crate) fn from_environment(passed: &[Passed]) -> Self {
        let mut values = Vec::new();
        for name in (0..MOST_VARIABLES).map(variable) {
            let Some(value) = std::env::var_os(&name) else { continue };
            single_threaded::remove_variable(&name);
            values.push((name, value.to_string_lossy().into_owned()));
        }
        // One is missing: what follows is of an earlier reload.
        let values = (0..).map(variable).zip(values).take_while(|(name, (found, _))| name == found);
        let values = values.map(|(_, (_, value))| value).collect();
        Self { values, passed: passed.iter().map(Passed::number).collect() }
    }

    /// The sockets, ready to be found by their addresses. Sockets that cannot be used are logged and left open.
    #[must_use]
    pub(crate) fn adopt(&self) -> Sockets {
        let mut sockets = Sockets::default();
        let mut known = (HashSet::new(), HashSet::new());
        let named = self.values.iter().flat_map(|value| entries(value));
        let not_passed = |entry: &Result<Entry, Ignored>| !entry.as_ref().is_ok_and(|e| self.passed.contains(&e.raw));
        for entry in named.filter(not_passed) {
            let taken = entry.and_then(|entry| {
                if !known.0.insert(entry.raw) || !known.1.insert(entry.name.clone()) {
                    return Err(Ignored::NamedBefore(entry.name, entry.raw));
                }
                entry.take()
            });
            match taken {
                Ok(listener) => sockets.all.push(listener),
                Err(why) => log::say(&messages::inherited_socket_ignored(why)),
            }
        }
        sockets
    }
}

fn variable(index: usize) -> String {
    if index == 0 { "FPM_SOCKETS".to_owned() } else { format!("FPM_SOCKETS_{index}") }
}

/// The addresses in a value. A part without `=` is the beginning of a path with a comma, which php-fpm doesn't quote.
pub(super) fn entries(value: &str) -> Vec<Result<Entry, Ignored>> {
    let mut found = Vec::new();
    let mut begun = String::new();
    for part in value.split(',') {
        if part.is_empty() && begun.is_empty() {
            continue;
        }
        begun.push_str(part);
        if part.contains('=') {
            found.push(entry(&std::mem::take(&mut begun)));
        } else {
            begun.push(',');
        }
    }
    if !begun.is_empty() {
        found.push(Err(Ignored::Incomplete(begun.trim_end_matches(',').to_owned())));
    }
    found
}

fn entry(text: &str) -> Result<Entry, Ignored> {
    let (name, number) = text.rsplit_once('=').unwrap_or((text, ""));
    let raw = number.parse().ok().filter(|raw| *raw >= FIRST && number.bytes().all(|b| b.is_ascii_digit()));
    match raw {
        Some(raw) if !name.is_empty() => Ok(Entry { name: name.to_owned(), raw }),
        Some(_) => Err(Ignored::NoAddress(text.to_owned())),
        None => Err(Ignored::NoDescriptor(text.to_owned(), FIRST)),
    }
}

impl Entry {
    fn take(self) -> Result<Listener, Ignored> {
        let Self { name, raw } = self;
        let unusable = |e| Ignored::Unusable(raw, name.clone(), e);
        let fd = inherited::adopt(raw).map_err(unusable)?;
        if !listen::is_listening(&fd) {
            // It is no socket of ours and stays open.
            let _ = inherited::disown(fd);
            return Err(Ignored::NotListening(raw, name));
        }
        // php-fpm's sockets block; none of its workers is left to depend on that.
        listen::prepare(&fd).map_err(unusable)?;
        log::say(&messages::inherited_socket_used(raw, &name));
        Ok(Listener::inherited(name, fd))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    fn names(value: &str) -> Vec<String> {
        let shown =
            |e: Result<Entry, Ignored>| e.map_or_else(|e| e.to_string(), |e| format!("{} is {}", e.name, e.raw));
        entries(value).into_iter().map(shown).collect()
    }

    #[test]
    fn php_fpm_s_own() {
        assert!(names("").is_empty());
        assert_eq!(names("/run/www.sock=7"), ["/run/www.sock is 7"]);
        assert_eq!(names("/a=3,127.0.0.1:9000=8,::1:9000=9"), ["/a is 3", "127.0.0.1:9000 is 8", "::1:9000 is 9"]);
    }

    #[test]
    fn paths_with_commas_and_equal_signs() {
        assert_eq!(names("/a,b=5,/c=6"), ["/a,b is 5", "/c is 6"]);
        assert_eq!(names("/a,,b=5,,/c=6,"), ["/a,,b is 5", "/c is 6"]);
        assert_eq!(names("/a=b=5"), ["/a=b is 5"]);
    }

    #[test]
    fn nonsense_is_told_and_the_rest_is_kept() {
        let many = ["/a=x", "/a=", "/a=-1", "/a=+7", "/a=2", "/a=99999999999", "=5", "="];
        for bad in many {
            let told = names(&format!("/b=4,{bad},/c=5"));
            assert_eq!((told[0].as_str(), told[2].as_str(), told.len()), ("/b is 4", "/c is 5", 3), "{bad}: {told:?}");
            assert!(told[1].contains(bad) && told[1].contains("address=number"), "{told:?}");
        }
        assert_eq!(names("/a"), ["'/a' names no descriptor (address=number)"]);
    }

    #[test]
    fn each_socket_once() {
        let socket = inherited::disown(std::os::unix::net::UnixListener::bind_addr(&abstract_address("a")).unwrap());
        let file = inherited::disown(std::fs::File::open("/dev/null").unwrap());
        let passed =
            inherited::disown(std::os::unix::net::UnixListener::bind_addr(&abstract_address("passed")).unwrap());
        let values = vec![format!("/a={socket},/b={socket},/p={passed},/c={file}"), format!("/a={file}")];
        let sockets = InheritedSockets { values, passed: vec![passed] }.adopt();
        let names: Vec<_> = sockets.all.iter().map(|l| (l.name.as_str(), l.fd.as_raw_fd())).collect();
        assert_eq!(names, [("/a", socket)]);
    }

    fn abstract_address(name: &str) -> std::os::unix::net::SocketAddr {
        use std::os::linux::net::SocketAddrExt as _;
        std::os::unix::net::SocketAddr::from_abstract_name(format!("cgi-fpm-{name}-{}", std::process::id())).unwrap()
    }

    #[test]
    fn variables() {
        assert_eq!([variable(0), variable(1)], ["FPM_SOCKETS", "FPM_SOCKETS_1"]);
    }
}
