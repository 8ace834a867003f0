//! `listen.allowed_clients`: which peers of a TCP socket are served.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::log::messages::accounts::WrongClient;

/// The clients that a pool serves: all, or those of a list of addresses and networks.
///
/// In JSON it is the list of texts, as in earlier versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct AllowedClients {
    /// The value of the directive; empty if it is not set.
    items: Vec<String>,
    networks: Vec<(IpAddr, u8)>,
    wrong: Vec<WrongClient>,
}

impl AllowedClients {
    /// The value of the directive; `None`: it is not set, and all clients are served. A directive that is set to nothing
    /// (`${CLIENTS}`, where there is no such variable) allows no client.
    #[must_use]
    pub fn read(text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::default() };
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned);
        let items: Vec<String> = items.collect();
        Self::from(if items.is_empty() { vec![String::new()] } else { items })
    }

    /// The messages that a worker logs about the list, as php-fpm's workers do.
    #[must_use]
    pub fn wrong(&self) -> &[WrongClient] {
        &self.wrong
    }

    /// Whether all clients are served: their addresses need not be looked up.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether a client with this address is served.
    #[must_use]
    pub fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.is_everybody() || self.networks.iter().any(|(network, bits)| contains(*network, *bits, peer))
    }
}

impl From<Vec<String>> for AllowedClients {
    fn from(items: Vec<String>) -> Self {
        let (mut networks, mut wrong) = (Vec::new(), Vec::new());
        for word in items.iter().flat_map(|item| item.split([',', ' ', '\t'])).filter(|word| !word.is_empty()) {
            match network(word) {
                Some(network) => networks.push(network),
                None => wrong.push(WrongClient::Address { item: word.to_owned() }),
            }
        }
        if networks.is_empty() && !items.is_empty() {
            wrong.push(WrongClient::NoAddress);
        }
        Self { items, networks, wrong }
    }
}

impl From<AllowedClients> for Vec<String> {
    fn from(clients: AllowedClients) -> Self {
        clients.items
    }
}

/// An address, or a network with the length of its prefix in bits. IPv4 addresses may be written as mapped IPv6 ones.
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
        AllowedClients::from(vec![list.to_owned()]).admits(peer.parse().unwrap())
    }

    #[test]
    fn without_a_list_every_client_is_served() {
        assert!(AllowedClients::read(None).is_everybody());
    }

    #[test]
    fn an_empty_list_admits_no_client() {
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
    fn wrong_items_are_named_and_admit_no_client() {
        let allowed = AllowedClients::read(Some("localhost,10.0.0.0/33"));
        let wrong: Vec<String> = allowed.wrong().iter().map(ToString::to_string).collect();
        assert!(wrong[0].contains("'localhost'") && wrong[1].contains("'10.0.0.0/33'") && wrong.len() == 3);
        assert!(!allowed.admits("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn in_json_it_is_the_list() {
        for items in [&[][..], &[""], &["127.0.0.1", "x"]] {
            let items: Vec<String> = items.iter().copied().map(str::to_owned).collect();
            let json = serde_json::to_string(&AllowedClients::from(items.clone())).unwrap();
            assert_eq!(json, serde_json::to_string(&items).unwrap());
            assert_eq!(serde_json::from_str::<AllowedClients>(&json).unwrap(), AllowedClients::from(items));
        }
    }
}
