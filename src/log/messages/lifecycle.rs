//! Start, stop and the supervisor's own event loop.

use super::messages;

messages! {
    /// The supervisor has read its configuration and opened its sockets.
    [Fpm Notice] fpm_is_running(pid) = "fpm is running, pid {pid}",
        do "Nothing.";

    /// All groups of pools that could start accept connections; or a reload is complete.
    [Fpm Notice] ready_to_handle_connections() = "ready to handle connections",
        do "Nothing.";

    /// The supervisor has ended.
    [Fpm Notice] exiting() = "exiting, bye-bye!",
        do "Nothing.";

    /// The supervisor has received a signal.
    [Fpm Debug] signal_received(signal) = "received {signal}",
        do "Nothing.";

    /// The system call that waits for events failed. The supervisor stops.
    [Ours Error] cannot_wait_for_events(reason) = "the supervisor cannot wait for events and stops: {reason}",
        do "Restart php-fpm. Report it with the reason if it happens again.";

    /// Sockets of which the supervisor is the last holder are closed by a child, since their close may take long. No child could be
    /// made for at least 5 seconds, so they stay open. The line comes again every 5 minutes.
    [Ours Warning] descriptors_not_closed(count, reason) =
        "cannot make a process that closes {count} descriptors of ended processes and former sockets: {reason}; it is tried again",
        do "End processes that use up the limit, or raise it: TasksMax= of the systemd unit, pids.max of the cgroup.";

    /// SIGUSR1 or `php-fpm logrotate`: the supervisor has opened the error log again.
    [Fpm Notice] error_log_reopened() = "error log file re-opened",
        originally "log file re-opened",
        do "Nothing.";

    /// SIGUSR1 or `php-fpm logrotate`: the supervisor could not open the error log again and keeps the file that it has.
    [Fpm Error] error_log_not_reopened() = "unable to re-opened error log file",
        do "The line before gives the reason. Correct it and send SIGUSR1 again.";

    /// A start failed; the line before says why. The process exits with status 78.
    [Fpm Error] initialization_failed() = "FPM initialization failed",
        do "Correct what the line before says and start again.";

    /// The configuration has an error, which the lines before say.
    [Ours Error] configuration_refused() = "the configuration is refused",
        do "Correct it; `php-fpm -t` tests it.";

    /// The file of `error_log` cannot be opened.
    [Fpm Error] error_log_not_opened(path, reason) = "failed to open error_log ({path}): {reason}",
        do "Create the directory, or correct its owner and mode.";

    /// `process.priority` of `[global]` cannot be set.
    [Fpm Error] priority_not_set(reason) = "Unable to set priority for the master process: {reason}",
        do "Use a value that the system allows (LimitNICE= of the systemd unit).";

    /// `process.priority` needs root.
    [Fpm Notice] priority_ignored() = "'process.priority' directive is ignored when FPM is not running as root",
        do "Remove the directive, or start php-fpm as root.";

    /// `daemonize = yes`: the process could not fork, or could not begin a session of its own.
    [Ours Error] no_background(reason) = "unable to go into the background: {reason}",
        do "Read the reason. `daemonize = no` needs neither a fork nor a session.";

    /// /dev/null cannot be opened, or a standard stream cannot be replaced.
    [Fpm Error] streams_not_opened(reason) = "failed to init stdio: {reason}",
        do "Check that /dev/null exists and is a device.";

    /// The pid file cannot be written.
    [Fpm Error] pid_file_not_written(path, reason) = "Unable to create the PID file ({path}).: {reason}",
        do "Create the directory of `pid`, or correct its owner and mode.";

    /// A system call that the supervisor needs at its start failed.
    [Ours Error] start_failed(reason) = "the supervisor cannot start: {reason}",
        do "Read the reason; for `Too many open files` and `Cannot allocate memory` raise the limits of the service.";

    /// `daemonize = yes`: the process that was started has waited 65 seconds, and a group of pools has neither started nor failed.
    [Ours Error] daemon_not_ready() =
        "not all pools accept connections after 65 seconds; the daemon keeps trying. See the error log",
        do "Look for PHP's complaints, or for slow preloading, in the error log.";

    /// A message to systemd could not be sent (`NOTIFY_SOCKET`).
    [Ours Warning] systemd_not_notified(address, reason) = "failed to notify systemd (NOTIFY_SOCKET={address}): {reason}",
        do "Check that the unit has Type=notify and that the socket can be reached.";

    /// `systemd_interval = 0`.
    [Fpm Notice] systemd_monitor_disabled() = "systemd monitor disabled",
        do "Nothing.";

    /// The supervisor tells systemd its state at this interval.
    [Fpm Notice] systemd_monitor_interval(milliseconds) = "systemd monitor interval set to {milliseconds}ms",
        do "Nothing.";
}
