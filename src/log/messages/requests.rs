//! Connections and requests, as a worker sees them.

use super::messages;

messages! {
    /// A worker cannot accept a connection, most often for want of descriptors or memory. It tries again after 50 ms.
    [Ours Error] connection_not_accepted(reason) = "cannot accept a connection: {reason}",
        do "For `Too many open files`, raise rlimit_files of the pool.";

    /// A client whose address is not in `listen.allowed_clients` has connected. Its connection was closed. At most one line
    /// a minute; it says how many clients were refused since the line before.
    [Fpm Error] client_disallowed(peer, more) = "Connection disallowed: IP address '{peer}' has been dropped.{more}",
        do "Add the web server's address to listen.allowed_clients, or block the client in the firewall.";

    /// A client breaks the FastCGI protocol, exceeds a limit, or does not send its parameters in time. Its connection was
    /// closed.
    [Ours Warning] request_refused(reason) = "request refused: {reason}",
        do "Check which program connects to the socket of the pool. Only a FastCGI client may.";

    /// The counters of the pool cannot be read for a status page.
    [Fpm Error] status_unavailable(pool) = "[pool {pool}] status: unable to find or access status shared memory",
        do "Restart php-fpm. Report it if it happens again.";

    /// The system call that waits for requests failed. The worker exits, and a new one starts.
    [Ours Error] worker_cannot_wait(pool, reason) = "[pool {pool}] a worker exits: it cannot wait for requests: {reason}",
        do "For `Too many open files`, raise rlimit_files of the pool. Otherwise report it with the reason.";
}
