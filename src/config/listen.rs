//! Addresses to listen on: which kind they are, and what a host and a port stand for.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::types::ListenAddr;
use super::values;
use crate::text::atoi;

/// A path, as opposed to something with a port?
pub(crate) fn is_unix(address: &str) -> bool {
    !address.contains(':') && !values::is_number(address)
}

/// The addresses of one `listen`.
///
/// A comma before a blank always separates. A bare comma does where all parts are clearly addresses: absolute paths,
/// ports, or hosts with a port; so a path with a comma in it stays what it is in php-fpm.
pub(crate) fn split(addresses: &str) -> Vec<&str> {
    let parts: Vec<&str> = addresses.split(',').map(|part| part.trim_matches([' ', '\t'])).collect();
    let blanks = addresses.contains(", ") || addresses.contains(",\t");
    let clear = |part: &&str| !part.is_empty() && (part.starts_with('/') || !is_unix(part));
    if blanks || parts.iter().all(clear) {
        parts.into_iter().filter(|part| !part.is_empty()).collect()
    } else {
        vec![addresses]
    }
}

/// One address, not yet resolved.
pub(crate) fn address(text: &str) -> ListenAddr {
    if is_unix(text) {
        ListenAddr::Unix(text.into())
    } else {
        ListenAddr::Tcp { spec: text.to_owned(), addrs: Vec::new() }
    }
}

/// The longest path of a unix socket, in bytes, and the system's limit as php-fpm words it.
const UNIX_PATH: (usize, usize) = (107, 108);

/// What php-fpm says of a path that is too long for a unix socket.
pub(crate) fn too_long(path: &str) -> Option<String> {
    let (longest, limit) = UNIX_PATH;
    let length = path.len();
    (length > longest).then(|| {
        format!(
            "cannot bind to UNIX socket '{path}' as path is too long (found length: {length}, maximal length: {limit})"
        )
    })
}

/// The path that a unix socket is bound to, and a warning if it had to be cut, as php-fpm does.
#[must_use]
pub fn unix_path(path: &Path) -> (PathBuf, Option<String>) {
    let Some(warning) = too_long(&path.to_string_lossy()) else { return (path.to_owned(), None) };
    let cut = OsStr::from_bytes(&path.as_os_str().as_bytes()[..UNIX_PATH.0]);
    (cut.into(), Some(format!("{warning}, trying cut socket path instead '{}'", cut.display())))
}

/// Finds the socket addresses of `host:port` or `port`, of which the first that can be bound is to be used.
///
/// # Errors
/// php-fpm's message, to be logged as an error.
pub fn resolve(spec: &str) -> Result<Vec<SocketAddr>, String> {
    let (host, port) = match spec.rsplit_once(':') {
        Some((host, port)) => (Some(host), port),
        None => (None, spec),
    };
    let invalid = || format!("invalid port value '{port}'");
    let number = u16::try_from(atoi(port.as_bytes())).ok().filter(|number| *number > 0).ok_or_else(invalid)?;
    let Some(host) = host else {
        // php-fpm's order: `::` takes both families, 0.0.0.0 is for systems without IPv6.
        return Ok(vec![
            SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), number),
            SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), number),
        ]);
    };
    // As strtoul reads it, in getaddrinfo.
    let digits = port.trim_ascii_start();
    if !values::is_number(digits.strip_prefix('+').unwrap_or(digits)) {
        return Err("getaddrinfo: Servname not supported for ai_socktype".to_owned());
    }
    if host == "*" {
        // To getaddrinfo it is no name at all: this machine, not all of its addresses.
        return Ok(vec![(Ipv6Addr::LOCALHOST, number).into(), (Ipv4Addr::LOCALHOST, number).into()]);
    }
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let found = (host, number).to_socket_addrs().map_err(|error| {
        let text = error.to_string();
        let reason = text.rsplit(": ").next().unwrap_or(&text);
        format!("getaddrinfo: {reason}")
    })?;
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_separates_addresses_but_not_the_halves_of_a_path() {
        assert_eq!(split("127.0.0.1:9000"), ["127.0.0.1:9000"]);
        assert_eq!(split("127.0.0.1:9000,/run/x"), ["127.0.0.1:9000", "/run/x"]);
        assert_eq!(split("9000, x.sock"), ["9000", "x.sock"]);
        assert_eq!(split("/run/a,b"), ["/run/a,b"]);
        assert_eq!(split("[::1]:9000,9001 ,"), ["[::1]:9000,9001 ,"]);
        assert_eq!(split("[::1]:9000, 9001,"), ["[::1]:9000", "9001"]);
    }

    #[test]
    fn paths_are_what_has_no_port() {
        assert!(is_unix("/run/x") && is_unix("x.sock") && is_unix("900x"));
        assert!(!is_unix("9000") && !is_unix("a:1") && !is_unix("[::1]:9"));
    }

    #[test]
    fn ports_and_literal_addresses_resolve() {
        let resolved = |spec| resolve(spec).unwrap().iter().map(SocketAddr::to_string).collect::<Vec<_>>();
        assert_eq!(resolved("9000"), ["[::]:9000", "0.0.0.0:9000"]);
        assert_eq!(resolved("127.0.0.1:80"), ["127.0.0.1:80"]);
        assert_eq!(resolved("[::1]:80"), ["[::1]:80"]);
        assert_eq!(resolved("*:80"), ["[::1]:80", "127.0.0.1:80"]);
        assert_eq!(
            (resolved("127.0.0.1: 80"), resolved("127.0.0.1:+80")),
            (resolved("127.0.0.1:80"), resolved("127.0.0.1:80"))
        );
        assert_eq!(resolve("127.0.0.1:69002"), Err("invalid port value '69002'".to_owned()));
        assert_eq!(resolve("127.0.0.1:x"), Err("invalid port value 'x'".to_owned()));
        assert_eq!(resolve("0"), Err("invalid port value '0'".to_owned()));
        assert!(resolve("127.0.0.1:80x").unwrap_err().starts_with("getaddrinfo: "));
        assert!(resolve("no.such.host.invalid:80").unwrap_err().starts_with("getaddrinfo: "));
    }

    #[test]
    fn long_paths_are_cut_with_a_warning() {
        assert_eq!(unix_path(Path::new("/run/x")), (PathBuf::from("/run/x"), None));
        let long = format!("/{}", "x".repeat(107));
        let (cut, warning) = unix_path(Path::new(&long));
        assert_eq!(cut.as_os_str().len(), 107);
        assert!(
            warning.unwrap().contains("(found length: 108, maximal length: 108), trying cut socket path instead '/x")
        );
    }
}
