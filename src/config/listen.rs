//! Addresses to listen on: which kind they are, and what a host and a port stand for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::model::ListenAddr;
use super::values;

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
    let number = u16::try_from(values::atoi(port.as_bytes())).ok().filter(|number| *number > 0).ok_or_else(invalid)?;
    let Some(host) = host else {
        // php-fpm's order: `::` takes both families, 0.0.0.0 is for systems without IPv6.
        return Ok(vec![
            SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), number),
            SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), number),
        ]);
    };
    if !values::is_number(port) {
        return Err("getaddrinfo: Servname not supported for ai_socktype\n".to_owned());
    }
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let found = (host, number).to_socket_addrs().map_err(|error| {
        let text = error.to_string();
        let reason = text.rsplit(": ").next().unwrap_or(&text);
        format!("getaddrinfo: {reason}\n")
    })?;
    Ok(found.collect())
}
