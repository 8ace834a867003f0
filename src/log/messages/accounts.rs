//! Users, groups and addresses of pools that cannot be found.

use super::errors::errors;
use super::messages;

messages! {
    /// The socket has an access list, which counts instead of its owner and group.
    [Fpm Warning] acl_overrides(pool, what, name) = "[pool {pool}] ACL set, listen.{what} = '{name}' is ignored",
        do "Remove the directive, or listen.acl_users and listen.acl_groups.";

    /// The path of a unix socket is too long.
    [Fpm Warning] path_cut(pool, problem) = "[pool {pool}] {problem}",
        do "Use a shorter path.";
}

errors! {
    /// Why the account of a pool, or the access to its socket, cannot be determined.
    #[derive(serde::Serialize, serde::Deserialize)]
    pub enum AccountError in ACCOUNT_ERRORS;

    /// There is no such user.
    [Fpm Error] User { pool: String, name: String } = "[pool {pool}] cannot get uid for user '{name}'",
        names ["user"],
        do "Correct `user`, or create the user.";

    /// There is no such group.
    [Fpm Error] Group { pool: String, name: String } = "[pool {pool}] cannot get gid for group '{name}'",
        names ["group"],
        do "Correct `group`, or create the group.";

    /// The owner or the access list of a socket names a user that does not exist. `Success (0)` means nothing: it is php-fpm's.
    [Fpm Error] SocketUser { pool: String, name: String } =
        "[pool {pool}] cannot get uid for user '{name}': Success (0)",
        names ["listen.owner", "listen.acl_users"],
        do "Correct listen.owner or listen.acl_users, or create the user.";

    /// The group or the access list of a socket names a group that does not exist.
    [Fpm Error] SocketGroup { pool: String, name: String } =
        "[pool {pool}] cannot get gid for group '{name}': Success (0)",
        names ["listen.group", "listen.acl_groups"],
        do "Correct listen.group or listen.acl_groups, or create the group.";

    /// The pool would run as root.
    [Fpm Error] Root { pool: String } = "[pool {pool}] please specify user and group other than root",
        names ["user", "group"],
        do "Set `user` and `group`; `-R` allows pools that run as root.";

    /// `-t`: the path of a unix socket is too long.
    [Fpm Error] LongPath { pool: String, path: LongPath } = "[pool {pool}] {path}: Success (0)",
        names ["listen"],
        do "Use a shorter path.";
}

errors! {
    /// A path is too long for a unix socket.
    #[derive(serde::Serialize, serde::Deserialize)]
    pub enum LongPath in LONG_PATHS;

    /// The system allows 107 bytes.
    [Fpm Part] Path { path: String, length: usize, limit: usize } =
        "cannot bind to UNIX socket '{path}' as path is too long (found length: {length}, maximal length: {limit})",
        do "Use a shorter path.";

    /// A start cuts the path, as php-fpm does.
    [Fpm Part] Cut { path: String, length: usize, limit: usize, cut: String } =
        "cannot bind to UNIX socket '{path}' as path is too long (found length: {length}, maximal length: {limit}), trying cut socket path instead '{cut}'",
        do "Use a shorter path.";
}

errors! {
    /// Why an address with a port cannot be listened on.
    #[derive(serde::Serialize, serde::Deserialize)]
    pub enum AddressError in ADDRESS_ERRORS;

    /// The port is not a number from 1 to 65535.
    [Fpm Error] Port { port: String } = "invalid port value '{port}'",
        names ["listen"],
        do "Correct the port in `listen`.";

    /// The host cannot be resolved.
    [Fpm Error] Host { reason: String } = "getaddrinfo: {reason}",
        names ["listen"],
        do "Correct the host name in `listen`, or name the address.";
}

errors! {
    /// What is wrong with `listen.allowed_clients`. A worker logs it when it starts.
    pub enum WrongClient in WRONG_CLIENTS;

    /// An item of the list is neither an address nor a network. The other items hold.
    [Fpm Error] Address { item: String } = "Wrong IP address '{item}' in listen.allowed_clients",
        names ["listen.allowed_clients"],
        do "Write an address such as 192.0.2.1, or a network such as 192.0.2.0/24.";

    /// No item of the list is an address: no client is served.
    [Fpm Error] NoAddress = "There are no allowed addresses",
        names ["listen.allowed_clients"],
        do "Correct the list, or remove the directive to serve all clients.";
}
