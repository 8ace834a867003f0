//! Listening sockets that systemd stores for us: after `kill -9` the next supervisor gets them and serves the connections that wait
//! in their queues.

use std::collections::BTreeMap;

/// The longest name that systemd accepts.
const NAME: usize = 255;

/// The name under which a socket is stored: that of its address, by which it is taken out again, and a number that stands for the user
/// whose processes may have it open, if that is known. `:` and `%` would end or mean something else. `None`: systemd would refuse it.
#[must_use]
pub(crate) fn socket_name(address: &str, user: Option<u64>) -> Option<String> {
    let mut name = user.map_or_else(|| "listen=".to_owned(), |user| format!("listen.{user:016x}="));
    for byte in address.bytes() {
        match byte {
            b' '..=b'~' if !matches!(byte, b':' | b'%') => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    (name.len() <= NAME).then_some(name)
}

/// The number in the name of a stored socket. A former version gave none.
#[must_use]
pub(crate) fn user_in_name(name: &str) -> Option<u64> {
    let (head, _) = name.split_once('=')?;
    u64::from_str_radix(head.strip_prefix("listen.")?, 16).ok()
}

/// A change of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Take what has that name out.
    Remove(String),
    /// Put the socket of that name in.
    Add(String),
}

/// The changes from the present to the wanted content of the store. Sockets are given by name, with their inode.
#[must_use]
pub(crate) fn changes(stored: &BTreeMap<String, u64>, wanted: &BTreeMap<String, u64>) -> Vec<Change> {
    let gone = stored.iter().filter(|(name, socket)| wanted.get(*name) != Some(socket));
    let new = wanted.iter().filter(|(name, socket)| stored.get(*name) != Some(socket));
    let gone = gone.map(|(name, _)| Change::Remove(name.clone()));
    gone.chain(new.map(|(name, _)| Change::Add(name.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_as_systemd_takes() {
        assert_eq!(socket_name("/run/www.sock", None).unwrap(), "listen=/run/www.sock");
        assert_eq!(socket_name("[::1]:9000", None).unwrap(), "listen=[%3A%3A1]%3A9000");
        assert_eq!(socket_name("/a%b\n", None).unwrap(), "listen=/a%25b%0A");
        assert!(socket_name(&format!("/{}", "ä".repeat(53)), None).is_none());
    }

    #[test]
    fn a_name_says_whose_the_socket_is() {
        let name = socket_name("/run/a=b.sock", Some(0xbeef)).unwrap();
        assert_eq!(name, "listen.000000000000beef=/run/a=b.sock");
        assert_eq!(user_in_name(&name), Some(0xbeef));
        assert_eq!(["listen=/run/a=b", "php-fpm.socket", "listen.=/a", "unknown"].map(user_in_name), [None; 4]);
    }

    #[test]
    fn a_socket_made_anew_takes_the_place_of_the_former() {
        let map = |list: &[(&str, u64)]| list.iter().map(|(name, socket)| ((*name).to_owned(), *socket)).collect();
        let change = changes(&map(&[("a", 1), ("b", 2), ("c", 3)]), &map(&[("a", 1), ("b", 9), ("d", 4)]));
        let [remove, add] = [Change::Remove, Change::Add];
        assert_eq!(change, [remove("b".into()), remove("c".into()), add("b".into()), add("d".into())]);
        assert!(changes(&map(&[("a", 1)]), &map(&[("a", 1)])).is_empty());
    }
}
