//! The control socket and what commands ask there.

use super::messages;

messages! {
    /// The control socket cannot be opened. It is tried again every ten seconds; pools serve on.
    [Ours Warning] control_socket_not_opened(path, reason) = "unable to open the control socket {path}: {reason}",
        do "End the program that has the path, or set `control.socket` to another path or to `no`. The commands `php-fpm cache` and `php-fpm opcache` do not work without it.";

    /// A command has connected to the control socket, and the system has no descriptor for it.
    [Ours Warning] command_not_accepted(reason) = "unable to accept a command on the control socket: {reason}",
        do "Raise the limit of descriptors.";

    /// `php-fpm opcache reset`: the group gets new processes, and with them an empty opcode cache.
    [Ours Notice] renewal_asked(group) = "[group {group}] new processes take over: php-fpm opcache reset",
        do "Nothing.";
}
