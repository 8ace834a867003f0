//! A client's address in 17 bytes, then the list of those that are allowed.
#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some((&[family, ref address @ ..], list)) = data.split_first_chunk::<17>()
        && let Ok(list) = std::str::from_utf8(list)
    {
        let v6 = Ipv6Addr::from(*address);
        let [a, b, c, d, ..] = *address;
        let v4 = Ipv4Addr::new(a, b, c, d);
        cgi_fpm::oracles::worker::admits(
            list,
            [v6.into(), v4.into(), v4.to_ipv6_mapped().into()][usize::from(family % 3)],
        );
    }
});
