//! Start, stop and the supervisor's own event loop.

use super::messages;

messages! {
    /// The supervisor has read its configuration and opened its sockets.
    [Fpm Notice] fpm_is_running(pid) = "fpm is running, pid {pid}",
        do "Nothing.";

    /// All pools accept connections.
    [Fpm Notice] ready_to_handle_connections() = "ready to handle connections",
        do "Nothing.";

    /// The supervisor has ended.
    [Fpm Notice] exiting() = "exiting, bye-bye!",
        do "Nothing.";

    /// The system call that waits for events failed. The supervisor stops.
    [Ours Error] cannot_wait_for_events(reason) = "the supervisor cannot wait for events and stops: {reason}",
        do "Restart php-fpm. Report it with the reason if it happens again.";

    /// SIGUSR1 or `php-fpm logrotate`: the supervisor has opened the error log again.
    [Fpm Notice] error_log_reopened() = "error log file re-opened",
        originally "log file re-opened",
        do "Nothing.";

    /// SIGUSR1 or `php-fpm logrotate`: the supervisor could not open the error log again and keeps the file that it has.
    [Fpm Error] error_log_not_reopened() = "unable to re-opened error log file",
        do "The line before gives the reason. Correct it and send SIGUSR1 again.";
}
