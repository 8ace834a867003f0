//! `listen.allowed_clients`: which peers of a TCP socket are served.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use crate::config::{ListenAddr, PoolConfig};

/// Addresses and networks; none = everybody.
#[derive(Debug, Default)]
pub struct Allowed {
    networks: Option<Vec<(IpAddr, u8)>>,
}

impl Allowed {
    /// What a pool says. On unix sockets alone it means nothing, and nothing is said about it.
    pub(super) fn of(pool: &PoolConfig) -> (Self, Vec<String>) {
        let on_tcp = pool.listen.iter().any(|address| matches!(address, ListenAddr::Tcp { .. }));
        if on_tcp { Self::new(&pool.listen_allowed_clients) } else { Default::default() }
    }

    /// From the directive's items, and what is to be logged about them (php-src `fcgi_set_allowed_clients`).
    #[must_use]
    pub fn new(items: &[String]) -> (Self, Vec<String>) {
        let words: Vec<&str> = items.iter().flat_map(|i| i.split([',', ' ', '\t'])).filter(|w| !w.is_empty()).collect();
        if items.is_empty() {
            return (Self::default(), Vec::new());
        }
        let (mut networks, mut wrong) = (Vec::new(), Vec::new());
        for word in words {
            match network(word) {
                Some(network) => networks.push(network),
                None => wrong.push(format!("Wrong IP address '{word}' in listen.allowed_clients")),
            }
        }
        if networks.is_empty() {
            wrong.push("There are no allowed addresses".to_owned());
        }
        (Self { networks: Some(networks) }, wrong)
    }

    /// Whether everybody may come: no need to ask who it is.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        self.networks.is_none()
    }

    /// Whether that peer is served.
    #[must_use]
    pub fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks.as_ref().is_none_or(|list| list.iter().any(|(net, bits)| contains(*net, *bits, peer)))
    }
}

fn network(word: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = word.split_once('/').map_or((word, None), |(a, b)| (a, Some(b)));
    let mapped: IpAddr = address.parse().ok()?;
    let address = mapped.to_canonical();
    let width = if address.is_ipv4() { 32 } else { 128 };
    let shift = if address == mapped { 0 } else { 96 };
    let bits = match bits {
        Some(bits) => bits.parse::<u8>().ok()?.checked_sub(shift)?,
        None => width,
    };
    (bits <= width).then_some((address, bits))
}

fn contains(network: IpAddr, bits: u8, peer: IpAddr) -> bool {
    let same = |a: u128, b: u128, width: u8| bits == 0 || (a ^ b) >> (width - bits) == 0;
    match (network, peer) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(list: &str, peer: &str) -> bool {
        Allowed::new(&[list.to_owned()]).0.admits(peer.parse().unwrap())
    }

    #[test]
    fn without_a_list_everybody_comes() {
        assert!(Allowed::new(&[]).0.is_everybody());
    }

    #[test]
    fn an_empty_list_admits_nobody() {
        assert!(!admits("", "192.0.2.1") && !admits(" , ", "192.0.2.1"));
    }

    #[test]
    fn all_bytes_of_an_address_count() {
        assert!(admits("127.0.0.1, 2001:db8::1", "2001:db8::1"));
        assert!(!admits("2001:db8::1", "2001:db8::2"));
        assert!(!admits("127.0.0.1", "127.0.0.2"));
    }

    #[test]
    fn networks_and_mapped_addresses() {
        assert!(admits("10.0.0.0/8", "::ffff:10.9.8.7"));
        assert!(admits("::ffff:10.0.0.0/104", "10.9.8.7"));
        assert!(!admits("10.0.0.0/8", "11.0.0.1"));
        assert!(admits("0.0.0.0/0", "11.0.0.1") && !admits("0.0.0.0/0", "2001:db8::1"));
        assert!(admits("2001:db8::/33", "2001:db8:7fff::1") && !admits("2001:db8::/33", "2001:db8:8000::1"));
    }

    #[test]
    fn nonsense_is_named_and_admits_nobody() {
        let (allowed, wrong) = Allowed::new(&["localhost".to_owned(), "10.0.0.0/33".to_owned()]);
        assert!(wrong[0].contains("'localhost'") && wrong[1].contains("'10.0.0.0/33'") && wrong.len() == 3);
        assert!(!allowed.admits("127.0.0.1".parse().unwrap()));
    }
}
