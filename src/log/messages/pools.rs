//! Pools: users, counters, access logs.

use super::messages;

messages! {
    /// The system cannot tell to which groups the user of a pool belongs.
    [Ours Error] groups_unknown(pool, reason) = "[pool {pool}] cannot look up the groups of the pool's user: {reason}",
        do "Check the account and the name service (nsswitch.conf).";

    /// There is no memory, or no descriptor, for the counters of a pool.
    [Ours Error] no_counters(pool, reason) = "[pool {pool}] no memory for counters: {reason}",
        do "Raise the limit on memory or descriptors (LimitNOFILE= of the systemd unit), or use fewer pools.";

    /// A limit of resources is higher than the system allows.
    [Fpm Error] limit_not_set(text) = "{text}",
        do "Lower the directive, or raise the limit of the service (LimitNOFILE=, LimitCORE=).";

    /// The file of `access.log` cannot be opened.
    [Fpm Error] access_log_not_opened(path, reason) = "failed to open access log ({path}): {reason}",
        do "Create the directory, or correct its owner and mode.";

    /// SIGUSR1 or `php-fpm logrotate`: an access log could not be given to the workers of its pool.
    [Ours Error] access_log_not_passed_on(reason) = "unable to give a worker its new access log: {reason}",
        do "Send SIGUSR1 again. For `Too many open files`, raise the limit on descriptors.";

    /// SIGUSR1 or `php-fpm logrotate`: all access logs were opened again.
    [Fpm Notice] access_log_reopened() = "access log file re-opened",
        do "Nothing.";

    /// SIGUSR1 or `php-fpm logrotate`: an access log could not be opened again. Its pool keeps the file that it has.
    [Fpm Error] access_log_not_reopened() = "unable to re-opened access log file",
        do "The line before gives the reason. Correct it and send SIGUSR1 again.";
}
