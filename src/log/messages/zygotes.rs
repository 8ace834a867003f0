//! Zygotes: start, end, what they report, and reports that are refused.

use super::messages;

messages! {
    /// The supervisor has started a zygote: the process that starts PHP once for a group of pools and forks their workers.
    [Ours Debug] zygote_started(group, pid) = "[group {group}] zygote {pid} started",
        do "Nothing.";

    /// A zygote could not be started. The supervisor tries again after a pause.
    [Ours Error] zygote_not_started(reason) = "unable to start a zygote: {reason}",
        do "The reason is that of the system: free memory, or raise the limits of processes and descriptors.";

    /// A zygote has ended. With WARNING it was not told to: its workers finish their requests, and another zygote starts.
    [Ours Warning Debug] zygote_ended(group, pid, how) = "[group {group}] zygote {pid} {how}",
        do "If it ends again and again, the lines before say why: PHP or one of its extensions may crash at its start.";

    /// The zygote has said which protocol and which PHP it has.
    [Ours Debug] zygote_speaks(group, protocol, php) = "[group {group}] its zygote speaks protocol {protocol}, PHP {php}",
        do "Nothing.";

    /// PHP does not start in the zygote. After a reload the former generation goes on. If the reason is `PHP gave no reason; see its output
    /// in the log`, the lines before this one have what PHP printed, for example about a preload file that is missing.
    [Ours Error] php_not_started(group, reason) = "[group {group}] PHP could not be started: {reason}",
        do "Correct what the reason names, mostly a setting of php.ini or an extension, and reload.";

    /// A worker could not be set up and has ended.
    [Ours Error] worker_not_set_up(pool, reason) = "[pool {pool}] {reason}",
        do "Correct what the reason names in the pool's section, and reload.";

    /// The zygote could not fork a worker. It tries again after a pause.
    [Ours Error] worker_not_forked(pool, reason, errno) = "[pool {pool}] unable to fork: {reason} ({errno})",
        do "Free memory, or raise the limit of processes of the pool's user.";

    /// The zygote could not fork a worker, because its user has as many processes and threads as it may have. It tries again after
    /// a pause. The zygote has no such limit if php-fpm runs as root with CAP_SYS_RESOURCE.
    [Ours Error] too_many_processes(pool, user, count, limit) =
        "[pool {pool}] cannot fork more workers: the user {user} has {count} processes, RLIMIT_NPROC is {limit}; raise it, end processes of that user, or run php-fpm with CAP_SYS_RESOURCE",
        do "Raise the limit (`LimitNPROC=` of systemd, `ulimit -u`) of the process that starts php-fpm, end processes of the user, or give php-fpm CAP_SYS_RESOURCE.";

    /// Connections wait, and all workers of the pool are busy. More workers start, as far as `pm` allows it.
    [Ours Debug] connections_wait(pool, waiting) = "[pool {pool}] {waiting} waiting, no worker free",
        do "Nothing.";

    /// The zygote sends more messages than its processes can have a reason for. The supervisor reads them more slowly.
    [Ours Debug] zygote_paused(group) = "[group {group}] its zygote sends too many messages: they are read more slowly",
        do "Nothing.";

    /// The supervisor cannot wait for messages of a zygote, and kills it. Another one starts.
    [Ours Error] zygote_not_watched(reason) = "unable to watch a zygote: {reason}",
        do "The reason is that of the system: free memory, or raise its limits.";

    /// The zygote has broken the rules of the messages between it and the supervisor. It is killed, and another one starts.
    [Ours Error] zygote_refused(group, pid, what) = "[group {group}] zygote {pid} {what}: it is killed",
        do "Reload if the files of cgi-fpm were replaced. Otherwise a script may have taken control of a process of the group.";

    /// The zygote has taken no orders for 10 seconds, or too many wait for it. It is killed, and another one starts.
    [Ours Error] zygote_takes_no_orders(group, pid) = "[group {group}] zygote {pid} takes no messages any more: it is killed",
        do "If it happens again, see what its process waits for: a debugger or a hanging file system, for instance.";

    /// A process of the zygote's user has stopped the zygote (SIGSTOP) or keeps it from working: for 10 seconds it has not answered, or
    /// for a minute it has not started. It is killed, and another one starts. Its workers finish their requests.
    [Ours Error] zygote_does_not_respond(group, pid) = "[group {group}] zygote {pid} does not respond: it is killed",
        do "If it happens again, see what stops its process: a script or another program of its user, a debugger, or a hanging file system.";

    /// The zygote has reported a worker that is another process. It is killed, and another one starts.
    [Ours Error] worker_is_not_its_child(pool, pid) = "[pool {pool}] its zygote names process {pid} as a new worker, which is no new child of its own: the zygote is killed and started again",
        do "A script may have taken control of a process of the pool's user: look for it.";

    /// The zygote has reported a worker that it was not told to fork. It is killed, and another one starts.
    [Ours Error] worker_was_not_asked_for(pool, pid) = "[pool {pool}] its zygote names process {pid} as a new worker, for which it was not asked: the zygote is killed and started again",
        do "A script may have taken control of a process of the pool's user: look for it.";

    /// The zygote has reported the end of a worker that still runs. It is killed, and another one starts.
    [Ours Error] worker_still_runs(pool, pid) = "[pool {pool}] its zygote reports the end of process {pid}, which lives: the zygote is killed and started again",
        do "A script may have taken control of a process of the pool's user: look for it.";

    /// Too many workers of the group have crashed within `emergency_restart_interval`. Its shared memory may be damaged, so new processes
    /// with new shared memory replace the present ones, as a reload of this group does. Other groups are not affected.
    [Ours Warning] group_restarts(threshold, seconds, group) =
        "failed processes threshold ({threshold} in {seconds} sec) is reached, initiating renewal of group {group}",
        do "Look for the script that crashes in the access log, and update PHP and its extensions.";

    /// The group was renewed less than 30 seconds ago. Its present processes serve until the next renewal.
    [Ours Notice] renewal_waits(group, seconds) =
        "[group {group}] its renewal begins in {seconds} seconds: a group is renewed once in 30 seconds at most",
        do "See the line before.";

    /// The group has new processes and new shared memory, with the same configuration. Its former processes finish the requests that
    /// they have, and exit.
    [Ours Notice] group_renewed(group) = "[group {group}] is renewed: new processes serve, with new shared memory",
        do "Nothing.";

    /// New processes were to replace those of the group, but could not start. The present ones serve on, with the same shared memory.
    [Ours Error] renewal_failed(group, reason) = "[group {group}] cannot be renewed: {reason}; its present processes serve on",
        do "Correct what the reason names, then reload the group: `php-fpm reload GROUP`.";

    /// The processes of the group have caused more than 128 KiB of log lines in a second. The rest was dropped.
    [Ours Warning] lines_dropped(group, count) = "[group {group}] too many lines of its processes: {count} dropped",
        do "See the lines before for what the processes of the group do.";

    /// A descriptor that the supervisor passed to a new zygote is missing, or is not what it should be.
    [Ours Error] zygote_started_wrongly(group, reason) =
        "[group {group}] the zygote cannot use what the supervisor passed to it: {reason}",
        do "Restart php-fpm. Report it with the reason if it happens again.";

    /// The system call that waits for events failed in a zygote. It exits, and the supervisor starts a new one.
    [Ours Error] zygote_cannot_wait(reason) = "the zygote exits: it cannot wait for events: {reason}",
        do "Report it with the reason if it happens again.";

    /// A process has sent SIGTERM or SIGQUIT to the zygote. Requests are served to their end; no client notices.
    [Ours Notice] zygote_asked_to_exit(signal, pid, uid) =
        "{signal} from process {pid} of user {uid} asks the zygote to exit: its workers finish their requests, and a new zygote starts",
        do "If this was not intended, find out which process sends the signal. To reload, send SIGUSR2 to the supervisor.";
}
