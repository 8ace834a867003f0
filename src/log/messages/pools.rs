//! Pools: users, counters, access logs.

use super::messages;

messages! {
    /// The system cannot tell to which groups the user of a pool belongs.
    [Ours Error] groups_unknown(pool, reason) = "[pool {pool}] cannot look up the groups of the pool's user: {reason}",
        do "Check the account and the name service (nsswitch.conf).";

    /// A name service has not answered, so the group of the pool cannot start. It is tried again.
    [Ours Error] names_not_known(pool, seconds) =
        "[pool {pool}] the users, groups or hosts that its group names could not be looked up in {seconds} seconds: does the name \
         service answer?",
        do "Check the name service (nsswitch.conf, resolv.conf).";

    /// There is no memory, or no descriptor, for the counters of a pool.
    [Ours Error] no_counters(pool, reason) = "[pool {pool}] no memory for counters: {reason}",
        do "Raise the limit on memory or descriptors (LimitNOFILE= of the systemd unit), or use fewer pools.";

    /// The supervisor may have fewer file descriptors open than it needs to serve all pools with one worker each. It does not start;
    /// `-t` warns, since its own limit may be another one.
    [Ours Error Warning] too_few_descriptors(least, limit) = "the supervisor needs at least {least} file descriptors for these pools, and its limit is {limit}: raise LimitNOFILE= of the systemd unit, `ulimit -n`, or (as root) rlimit_files in [global]",
        do "Raise the limit as the line says, use fewer pools, or let pools share a group.";

    /// The supervisor may have fewer file descriptors open than all workers together need: each worker whose output is caught needs
    /// two, and two more if its pool limits the time of requests. When the limit is reached, each pool keeps one worker at least,
    /// and no more are started.
    [Ours Warning] descriptors_may_run_out(most, limit) = "with all workers the supervisor needs up to {most} file descriptors, and its limit is {limit}: raise LimitNOFILE= of the systemd unit, `ulimit -n`, or (as root) rlimit_files in [global]",
        do "Raise the limit as the line says, or lower pm.max_children.";

    /// The supervisor has too few free file descriptors for another worker or zygote. Some are kept for reloads, signals and logs.
    [Ours Error] descriptors_run_out(open, limit) = "no more workers or zygotes are started: {open} of {limit} file descriptors are open, and the rest is kept for reloads and logs; raise LimitNOFILE= of the systemd unit, `ulimit -n`, or (as root) rlimit_files in [global]",
        do "Raise the limit as the line says, or lower pm.max_children.";

    /// A limit of resources is higher than the system allows.
    [Fpm Error] limit_not_set(text) = "{text}",
        do "Lower the directive, or raise the limit of the service (LimitNOFILE=, LimitCORE=).";

    /// The file of `access.log` cannot be opened.
    [Fpm Error] access_log_not_opened(path, reason) = "failed to open access log ({path}): {reason}",
        do "Create the directory, or correct its owner and mode.";

    /// A directory that a pool names (`prefix`, `chroot`, `chdir`) cannot be reached: its file system hangs, or is a FUSE mount of a
    /// user. Other groups are not affected.
    [Ours Error] directory_not_reached(directive, path, reason) = "{directive} = {path}: {reason}",
        do "Correct what the reason names, or use another directory.";

    /// SIGUSR1 or `php-fpm logrotate`: an access log could not be given to the workers of its pool.
    [Ours Error] access_log_not_passed_on(reason) = "unable to give a worker its new access log: {reason}",
        do "Send SIGUSR1 again. For `Too many open files`, raise the limit on descriptors.";

    /// SIGUSR1 or `php-fpm logrotate`: all access logs were opened again.
    [Fpm Notice] access_log_reopened() = "access log file re-opened",
        do "Nothing.";

    /// SIGUSR1 or `php-fpm logrotate`: an access log could not be opened again. Its pool keeps the file that it has.
    [Fpm Error] access_log_not_reopened() = "unable to re-opened access log file",
        do "The line before gives the reason. Correct it and send SIGUSR1 again.";

    /// The pool has as many workers as it may have, and all are busy. Further connections wait. Counted on the status page.
    [Fpm Warning] max_children_reached(pool, directive, most) =
        "[pool {pool}] server reached {directive} setting ({most}), consider raising it",
        do "Raise pm.max_children if there is memory for more workers, or make the scripts faster.";

    /// The pool had to start more workers at once for some seconds.
    [Fpm Warning] pool_seems_busy(pool, rate, idle, total) = "[pool {pool}] seems busy (you may need to increase pm.start_servers, or pm.min/max_spare_servers), spawning {rate} children, there are {idle} idle, and {total} total children",
        do "Raise pm.start_servers and pm.min_spare_servers if it happens often.";

    /// All pools together have as many workers as `process.max` allows.
    [Fpm Warning] process_max_reached() = "The maximum number of processes has been reached. Please review your configuration and consider raising 'process.max'",
        do "Raise process.max if there is memory for more workers.";

    /// Five workers in a row have crashed, exited with a failure or been killed at their first request or before it. They are replaced after a pause until one gets past it.
    [Ours Warning] crash_loop(pool, longest) = "[pool {pool}] its workers fail at their first request or before, one after the other: they are replaced after a pause from now on, {longest} ms at most, until one outlives its first request",
        do "The lines before say how they ended. Look for the script in the access log, and update PHP and its extensions. If no client has sent a request, PHP cannot begin any: look at `memory_limit`, at other settings of php.ini and at the memory of the machine.";

    /// A group without a zygote does not learn of connections on this socket.
    [Ours Error] socket_not_watched(address, reason) = "unable to watch {address}: {reason}",
        do "The reason is that of the system: free memory, or raise its limits. Then reload.";
}
