//! Listening sockets: bound by the supervisor, inherited, or passed by systemd.

use super::messages;

messages! {
    /// The path of a unix socket leads through a directory in which a user other than root can replace files.
    [Ours Warning] path_of_a_users(pool, remark) = "[pool {pool}] {remark}",
        do "Use a directory that only root can write to.";

    /// The address of a pool's `listen` cannot be used. At a start the group of the pool does not start, and is tried again; at a
    /// reload it keeps what it had.
    [Fpm Error] cannot_bind(address, reason) =
        "unable to bind listening socket for address '{address}': {reason}",
        do "Read the reason. For `Address already in use`, find the other process with `ss -lnp`; for `Permission denied`, \
            check the directory or use a port from 1024 on.";

    /// Another process accepts connections on the socket file that a pool names.
    [Fpm Error] served_by_another(path) = "Another FPM instance seems to already listen on {path}",
        do "Stop the other process, or give the pool another path in `listen`.";

    /// A reload has given a pool another user. Its new socket could not be bound beside the present one, since a process of the former
    /// user changes that one again and again (`SO_REUSEPORT`). The group keeps what it had.
    [Ours Error] held_by_former_user(pool, address) =
        "[pool {pool}] cannot listen at '{address}' beside the socket of its former user: a process of that user keeps changing that \
         socket. End the processes that `ss -tlnp` shows there, or restart php-fpm",
        do "Find the processes of the former user that have the socket open with `ss -tlnp`, end them, and reload; or restart php-fpm.";

    /// Two pools, or two addresses of one pool, name the same address.
    [Ours Error] address_named_twice(pool, address) =
        "[pool {pool}] '{address}' is an address that is listened on already",
        do "Give each pool its own address in `listen`.";

    /// A host name in `listen` has several addresses. The first that can be bound is used.
    [Fpm Warning] several_addresses(host, ignored) = "Found multiple addresses for {host}, {ignored} ignored",
        do "Name the address instead of the host to choose another.";

    /// `listen` is a port alone, and the machine has no IPv6. The pool listens on all IPv4 addresses.
    [Fpm Notice] retrying_without_ipv6() = "Failed implicitly binding to ::, retrying with 0.0.0.0",
        do "Nothing, or write `listen = 0.0.0.0:PORT`.";

    /// A unix socket of the supervisor was removed by another process. The reload makes a new one at the same path.
    [Ours Warning] socket_was_removed(pool, address) =
        "[pool {pool}] the socket '{address}' was removed; a new one is made",
        do "Find out what removes the socket, such as a cleaner of temporary files.";

    /// Another process has replaced a socket file of the supervisor. The supervisor does not touch the new file.
    [Ours Warning] socket_was_replaced(pool, address) =
        "[pool {pool}] another socket has taken the place of '{address}'; the pool cannot be reached there. Remove that file \
         and reload to have a new socket made",
        do "Remove the file, then reload.";

    /// The same at a start: the socket was replaced before its owner and mode could be set.
    [Ours Error] new_socket_was_replaced(pool, address) =
        "[pool {pool}] another socket has taken the place of '{address}'",
        do "Use a directory in which only root and the pool's user can create files.";

    /// The supervisor cannot look at the file of a socket that it serves. Its owner and mode stay as they are.
    [Ours Warning] socket_cannot_be_examined(pool, address, reason) =
        "[pool {pool}] cannot examine the socket '{address}': {reason}. The pool serves; the owner and mode of the socket stay \
         as they are. Correct the path, then reload",
        do "Make the directories of the path accessible, then reload.";

    /// The supervisor cannot prove that the socket file is its own, so it does not change the owner and mode: that needs
    /// a kernel with `sock_diag` for unix sockets, or a directory in which only root can create files.
    [Ours Error] socket_access_cannot_be_changed(pool, address) =
        "[pool {pool}] cannot change the owner or mode of the socket '{address}': users other than root can create files in its \
         directory, and this kernel does not tell (sock_diag) which socket is ours. Use a directory that only root can write \
         to, or let listen.owner, listen.group and listen.mode name what the socket has there",
        do "Move the socket to a directory of root's.";

    /// The owner, mode or access list of a socket file cannot be set.
    [Fpm Error] socket_access_failed(pool, what, address, reason) =
        "[pool {pool}] failed to {what} the socket '{address}': {reason}",
        do "Read the reason. Only root can give a socket to another user.";

    /// A reload changes `listen.backlog`, and the system refuses it. The pool serves with the old value.
    [Ours Error] backlog_not_changed(pool, address, reason) =
        "[pool {pool}] failed to change the backlog of '{address}': {reason}",
        do "Read the reason, then reload.";

    /// Another file has replaced a socket file that should be removed. That file stays.
    [Ours Warning] socket_file_replaced(address) =
        "another file has taken the place of the socket '{address}' and stays there; remove it if nothing uses it",
        do "Remove the file if nothing uses it.";

    /// The file of a socket that is closed cannot be removed.
    [Ours Warning] socket_not_removed(address, reason) = "failed to remove the socket '{address}': {reason}",
        do "Remove the file by hand.";

    /// A reload has given a pool another user, and the file of its new socket cannot be put at the path.
    [Ours Error] address_not_taken(address, reason) =
        "the new socket could not take the path '{address}': {reason}; no client reaches the pool there",
        do "Remove what has this path, then reload.";

    /// A reload has given a pool another user. The socket is systemd's, so that no other one can take its place.
    [Ours Warning] socket_stays_with_former_user(pool, address) =
        "[pool {pool}] processes of its former user can accept connections of \"{address}\", a socket of systemd's, until they end",
        do "Restart the .socket unit and php-fpm.";

    /// systemd has stored a socket of a supervisor that was killed, and the pool has another user now. Processes of the former user may
    /// still have it open, so another socket takes its place. Clients that wait at the former one are refused.
    [Ours Notice] stored_for_another_user(pool, address) =
        "[pool {pool}] the stored socket \"{address}\" belongs to another user: a new one takes its place",
        do "Nothing.";

    /// No pool names the address any more.
    [Ours Debug] socket_closed(address) = "closed listening socket \"{address}\"",
        do "Nothing.";

    /// A reload changes an address of a pool. Clients that wait at the former address are to be served by the pool's new processes, which
    /// needs a child of the master process.
    [Ours Warning] waiting_clients_lost(pool, reason) =
        "[pool {pool}] clients that wait at an address that the pool has left are not served: {reason}",
        do "Raise the limits of processes and descriptors of php-fpm.";

    /// php-fpm has left a listening socket in `FPM_SOCKETS`, and a pool listens on it.
    [Fpm Notice] inherited_socket_used(fd, address) = "using inherited socket fd={fd}, \"{address}\"",
        do "Nothing.";

    /// An entry of `FPM_SOCKETS` is not usable.
    [Ours Warning] inherited_socket_ignored(reason) = "FPM_SOCKETS: {reason}: ignored",
        do "Nothing, unless you set FPM_SOCKETS yourself.";

    /// systemd has passed a socket, and a pool listens on it.
    [Ours Notice] passed_socket_used(fd, address) = "using socket fd={fd} from systemd, \"{address}\"",
        do "Nothing.";

    /// systemd has passed a socket that no pool can use.
    [Ours Warning] passed_socket_closed(address, name, reason) = "closed \"{address}\" from systemd ({name}): {reason}",
        do "Make `listen` of a pool and ListenStream= of the .socket unit name the same address.";

    /// After a reload no pool names an address that systemd has passed.
    [Ours Notice] passed_socket_no_longer_used(address) =
        "closed \"{address}\" from systemd: no pool listens there any more",
        do "Remove the address from the .socket unit.";

    /// The environment promises more sockets than systemd has passed.
    [Ours Warning] passed_socket_missing(fd) = "LISTEN_FDS names descriptor {fd}, but nothing is open there",
        do "Start php-fpm by systemd alone, without wrappers that close descriptors.";
}
