//! The monitor: its start, its end, and its address.

use super::messages;

messages! {
    /// The monitor was started. It answers `/metrics`, `/livez`, `/readyz` and `/startupz`.
    [Ours Debug] monitor_started(pid, address) = "monitor {pid} started, listening on {address}",
        do "Nothing.";

    /// The monitor could not be started. It is tried again after a pause; pools serve on.
    [Ours Error] monitor_not_started(reason) = "unable to start the monitor: {reason}",
        do "The reason is that of the system: free memory, or raise the limits of processes and descriptors.";

    /// The address of `monitor.listen` cannot be used. It is tried again every ten seconds; pools serve on.
    [Ours Error] monitor_not_listening(address, reason) = "the monitor cannot listen on {address}: {reason}",
        do "End the program that has the address, or correct `monitor.listen` and reload. The directory of a unix socket must exist, and only root may write to it if php-fpm runs as root.";

    /// The monitor has ended. Another one is started, after a pause if it has happened before; pools serve on.
    [Ours Warning] monitor_ended(pid, how) = "monitor {pid} {how}: another one is started",
        do "If it happens again and again, the lines before say why.";

    /// The monitor takes no messages of the supervisor any more. It is killed, and another one starts.
    [Ours Error] monitor_stalled(pid) = "monitor {pid} takes no messages any more: it is killed",
        do "If it happens again, see what its process waits for: a debugger, for instance.";

    /// The monitor could not be told of a pool. It is tried again after a second; until then the pool has no metrics.
    [Ours Error] monitor_not_told(reason) = "unable to tell the monitor of a pool: {reason}",
        do "The reason is that of the system: raise the limit of descriptors.";

    /// The monitor cannot go on. It exits, and another one is started.
    [Ours Error] monitor_failed(reason) = "the monitor cannot go on: {reason}",
        do "The reason is that of the system, mostly a limit, or a security module that keeps the program from changing its user.";

    /// The kernel or the container lacks something that confines the monitor further. It has no rights and no files all the same.
    [Ours Notice] monitor_less_confined(what) = "the monitor runs without {what}",
        do "Nothing, or let the container have it: Landlock comes with Linux 5.13, seccomp is in each usual kernel.";

    /// The user namespace of a container has no id but that of root. The monitor keeps it, without capabilities and with seccomp.
    [Ours Notice] monitor_stays_root() = "this user namespace has no other user id: the monitor stays root, without its rights",
        do "Nothing, or give the container more ids: /etc/subuid.";
}
