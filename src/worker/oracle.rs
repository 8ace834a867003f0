//! Properties of every request to the pages of a pool, and of the list of clients that a pool admits. Compiled for the property tests
//! and the fuzz targets only.

use std::net::{IpAddr, Ipv6Addr};

use super::authorization::basic_user;
use crate::config::AllowedClients;
use crate::status::PageOptions;

/// Reads bytes as a query string and as an authorization.
///
/// # Panics
/// When a name has a colon or a NUL in it, or another form of the query asks for something else.
pub fn page_request(query: &[u8], authorization: &[u8]) {
    let options = PageOptions::of(query);
    let again = [query, b"&unknown=1&"].concat();
    assert_eq!(PageOptions::of(&again), options);
    if let Some(user) = basic_user(authorization) {
        assert!(!user.contains(&b':') && !user.contains(&0), "{user:?}");
    }
}

/// Whether a peer is served, told by an independent reading of the list: networks as 128 bits, compared bit by bit.
///
/// # Panics
/// When both disagree.
pub fn admits(list: &str, peer: IpAddr) {
    let allowed = AllowedClients::from(vec![list.to_owned()]);
    let words: Vec<&str> = list.split([',', ' ', '\t']).filter(|word| !word.is_empty()).collect();
    let networks: Vec<_> = words.iter().filter_map(|word| network(word)).collect();
    let complaints = words.len() - networks.len() + usize::from(networks.is_empty());
    assert_eq!(allowed.wrong().len(), complaints, "{list:?}: {allowed:?}");
    let wanted = networks.iter().any(|(address, bits)| {
        let same = (0..*bits).all(|bit| bit_of(*address, bit) == bit_of(mapped(peer), bit));
        // A network of IPv6 has no client of IPv4, whichever way it came.
        same && (*bits >= 96 || peer.to_canonical().is_ipv6())
    });
    assert_eq!(allowed.admits(peer), wanted, "{peer} in {list:?}");
}

fn network(word: &str) -> Option<(u128, u32)> {
    let mut parts = word.splitn(2, '/');
    let address: IpAddr = parts.next()?.parse().ok()?;
    let offset = if address.is_ipv4() { 96 } else { 0 };
    let bits = match parts.next() {
        Some(bits) => offset + bits.parse::<u8>().ok().map(u32::from)?,
        None => 128,
    };
    let is_mapped = address.to_canonical().is_ipv4();
    (bits <= 128 && (!is_mapped || bits >= 96)).then(|| (mapped(address), bits))
}

fn mapped(address: IpAddr) -> u128 {
    let v6: Ipv6Addr = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    v6.into()
}

fn bit_of(address: u128, bit: u32) -> bool {
    address << bit >> 127 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_is_asked(query: Vec<u8>, authorization in "[Bb]asic [A-Za-z0-9+/=:* ]{0,40}") {
            page_request(&query, authorization.as_bytes());
        }

        #[test]
        fn lists_are_read_alike(
            list in "(([0-9]{1,3}\\.){3}[0-9]{1,3}|[0-9a-f:]{0,9}|::ffff:1\\.2\\.3\\.4)(/[0-9]{0,3})?([, ]1\\.2\\.3\\.[0-9]/[0-9]{1,2}){0,3}",
            peer: [u8; 4],
            six: bool,
        ) {
            let peer = std::net::Ipv4Addr::from(peer);
            admits(&list, if six { peer.to_ipv6_mapped().into() } else { peer.into() });
        }
    }
}
