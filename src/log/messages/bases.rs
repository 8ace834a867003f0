//! Base zygotes: start, end, and what they cannot do.

use super::messages;

messages! {
    /// The supervisor has started a base zygote: the process that starts PHP once, and from which zygotes are forked.
    [Ours Debug] base_started(generation, pid) = "base zygote {pid} (generation {generation}) started",
        do "Nothing.";

    /// The base zygote has started PHP. The zygotes of groups are forked from it.
    [Ours Debug] base_ready(pid, kilobytes) =
        "base zygote {pid} is ready: each zygote gets a copy of {kilobytes} kB of its shared memory",
        do "Nothing.";

    /// Zygotes cannot be forked from the base zygote, so each starts PHP itself. This takes more memory, and nothing else changes.
    [Ours Notice] base_unfit(reason) = "zygotes start PHP without a base zygote: {reason}",
        do "Nothing, or change what the reason names and reload. `process.base = no` avoids the attempt.";

    /// The base zygote could not be started.
    [Ours Error] base_not_started(reason) = "unable to start a base zygote: {reason}",
        do "The reason is that of the system: free memory, or raise the limits of processes and descriptors.";

    /// The user of `process.base_user` does not exist, so each zygote starts PHP itself.
    [Ours Warning] base_user_unknown(user) =
        "zygotes start PHP without a base zygote: there is no user '{user}' other than root",
        do "Create the user, set `process.base_user`, or set `process.base = no`.";

    /// The base zygote has ended. It is started again when a zygote is needed; zygotes and workers that run do not notice.
    [Ours Warning Debug] base_ended(pid, how) = "base zygote {pid} {how}",
        do "If it happens again, find out which process ends it: a user of its own for `process.base_user` protects it from others.";

    /// The base zygote has not answered in time. It is killed, and zygotes start PHP themselves until the next one is needed.
    [Ours Error] base_silent(pid) = "base zygote {pid} does not answer: it is killed",
        do "If it happens again, see what its process waits for: a debugger or a hanging file system, for instance.";

    /// A process of the base zygote's user has stopped it (SIGSTOP). It is killed, and another one starts when a zygote is needed.
    [Ours Error] base_stopped(pid) = "base zygote {pid} is stopped: it is killed",
        do "Use a user for `process.base_user` that has no other process.";

    /// The base zygote has broken the rules of the messages between it and the supervisor. It is killed.
    [Ours Error] base_refused(pid, what) = "base zygote {pid} {what}: it is killed",
        do "Reload if the files of cgi-fpm were replaced. Otherwise report it with the reason.";

    /// The base zygote could not fork a zygote, which then starts PHP itself.
    [Ours Warning] base_fork_failed(group, reason, errno) =
        "[group {group}] its zygote starts PHP without a base zygote, which cannot fork: {reason} ({errno})",
        do "Free memory, or raise the limit of processes.";

    /// The zygote was forked from a base zygote and needs something that only one that starts PHP itself can have.
    [Ours Debug] zygote_needs_own_start(group, reason) =
        "[group {group}] its zygote starts PHP without a base zygote: {reason}",
        do "Nothing.";

    /// A zygote that was forked from a base zygote could not become what it is to be. It exits, and the supervisor starts another.
    [Ours Error] forked_zygote_not_set_up(reason) = "a zygote from the base zygote cannot be set up: {reason}",
        do "Set `process.base = no`, and report it with the reason.";

    /// A descriptor that the supervisor passed to a new base zygote is missing, or is not what it should be.
    [Ours Error] base_started_wrongly(reason) = "the base zygote cannot use what the supervisor passed to it: {reason}",
        do "Restart php-fpm. Report it with the reason if it happens again.";
}
