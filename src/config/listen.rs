//! Addresses to listen on: which kind they are, and what a host and a port stand for.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::types::ListenAddr;
use super::values;
use crate::log::messages::accounts::{AddressError, LongPath};
use crate::text::atoi;

/// Whether an address is the path of a unix socket; the others have a port.
pub(crate) fn is_unix(address: &str) -> bool {
    !address.contains(':') && !values::is_number(address)
}

/// The addresses of one `listen`.
///
/// A comma before a blank always separates. A comma without a blank separates if all parts are clearly addresses: absolute
/// paths, ports, or hosts with a port. So a path with a comma in it means the same as in php-fpm.
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

/// An error if a path is too long for a unix socket.
pub(crate) fn too_long(path: &str) -> Option<LongPath> {
    let (longest, limit) = UNIX_PATH;
    (path.len() > longest).then(|| LongPath::Path { path: path.to_owned(), length: path.len(), limit })
}

/// The path that a unix socket is bound to. One that is too long is cut, as php-fpm does, and reported.
#[must_use]
pub fn unix_path(path: &Path) -> (PathBuf, Option<LongPath>) {
    let shown = path.to_string_lossy().into_owned();
    let (longest, limit) = UNIX_PATH;
    let Some(bytes) = path.as_os_str().as_bytes().get(..longest).filter(|_| shown.len() > longest) else {
        return (path.to_owned(), None);
    };
    let cut = OsStr::from_bytes(bytes);
    let problem = LongPath::Cut { length: shown.len(), path: shown, limit, cut: cut.display().to_string() };
    (cut.into(), Some(problem))
}

/// Whether an address names a host, which a name service has to know.
#[must_use]
pub fn names_host(spec: &str) -> bool {
    let host = spec.rsplit_once(':').map(|(host, _)| host).filter(|host| *host != "*");
    let bare = |host: &str| {
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse::<IpAddr>().is_err()
    };
    host.is_some_and(bare)
}

/// Finds the socket addresses of `host:port` or `port`. The first of them that can be bound is used.
///
/// # Errors
/// The port is not a number from 1 to 65535, or the host is unknown.
pub fn resolve(spec: &str) -> Result<Vec<SocketAddr>, AddressError> {
    let (host, port) = match spec.rsplit_once(':') {
        Some((host, port)) => (Some(host), port),
        None => (None, spec),
    };
    let invalid = || AddressError::Port { port: port.to_owned() };
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
        return Err(AddressError::Host { reason: "Servname not supported for ai_socktype".to_owned() });
    }
    if host == "*" {
        // getaddrinfo takes it for no host: the loopback addresses, not all addresses.
        return Ok(vec![(Ipv6Addr::LOCALHOST, number).into(), (Ipv4Addr::LOCALHOST, number).into()]);
    }
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let found = (host, number).to_socket_addrs().map_err(|error| {
        let text = error.to_string();
        let reason = text.rsplit(": ").next().unwrap_or(&text);
        AddressError::Host { reason: reason.to_owned() }
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
    fn only_names_of_hosts_need_a_name_service() {
        for literal in ["9000", "127.0.0.1:9000", "[::1]:9000", "*:9000"] {
            assert!(!names_host(literal), "{literal}");
        }
        assert!(names_host("localhost:9000") && names_host("web.example:80"));
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
        assert_eq!(resolve("127.0.0.1:69002"), Err(AddressError::Port { port: "69002".to_owned() }));
        assert_eq!(resolve("127.0.0.1:x"), Err(AddressError::Port { port: "x".to_owned() }));
        assert_eq!(resolve("0"), Err(AddressError::Port { port: "0".to_owned() }));
        assert!(resolve("127.0.0.1:80x").unwrap_err().to_string().starts_with("getaddrinfo: "));
        assert!(resolve("no.such.host.invalid:80").unwrap_err().to_string().starts_with("getaddrinfo: "));
    }

    #[test]
    fn long_paths_are_cut_with_a_warning() {
        assert_eq!(unix_path(Path::new("/run/x")), (PathBuf::from("/run/x"), None));
        let long = format!("/{}", "x".repeat(107));
        let (cut, warning) = unix_path(Path::new(&long));
        assert_eq!(cut.as_os_str().len(), 107);
        assert!(
            warning
                .unwrap()
                .to_string()
                .contains("(found length: 108, maximal length: 108), trying cut socket path instead '/x")
        );
    }
}
