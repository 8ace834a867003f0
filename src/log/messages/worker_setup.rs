//! Set-up of a worker: from the fork by its zygote to its first request.

use super::messages;

messages! {
    /// The worker cannot redirect its standard input, output and error. The pool is without this worker; the supervisor
    /// tries again.
    [Ours Error] streams_not_redirected(pool, reason) =
        "[pool {pool}] cannot redirect the standard streams of a worker: {reason}",
        do "Check that /dev/null exists. For `Too many open files`, raise the limit on descriptors.";

    /// A capability that the set-up of the worker needs cannot be made effective.
    [Ours Error] capabilities_not_raised(pool, reason) =
        "[pool {pool}] cannot use the capabilities that the set-up of a worker needs: {reason}",
        do "Give the service CAP_SYS_CHROOT, CAP_SYS_NICE and CAP_SYS_RESOURCE, or remove chroot, process.priority and rlimit_*.";

    /// The worker cannot give up its capabilities. It does not serve, because scripts must not have them.
    [Ours Error] capabilities_not_dropped(pool, reason) =
        "[pool {pool}] cannot give up the capabilities of a worker: {reason}",
        do "Check the security policy of the system (seccomp, SELinux).";

    /// A limit of resources cannot be set. The worker serves without it.
    [Fpm Error] worker_limit_not_set(pool, text) = "[pool {pool}] {text}",
        do "Lower the directive, or raise the limit of the service (LimitNOFILE=, LimitCORE=).";

    /// The worker cannot make the pool's `chroot` its root directory.
    [Fpm Error] chroot_failed(pool, path, reason) = "[pool {pool}] failed to chroot({path}): {reason}",
        do "Create the directory, and give php-fpm the right to enter it.";

    /// The worker cannot change to the pool's `chdir` or to the root of its `chroot`.
    [Fpm Error] chdir_failed(pool, path, reason) = "[pool {pool}] failed to chdir({path}): {reason}",
        do "Create the directory, and give the pool's user the right to enter it.";

    /// The nice value of `process.priority` cannot be set.
    [Fpm Error] worker_priority_not_set(pool, reason) =
        "[pool {pool}] Unable to set priority for this new process: {reason}",
        do "Run php-fpm as root or with CAP_SYS_NICE, or remove process.priority.";

    /// The worker cannot become the pool's user. It does not serve.
    [Fpm Error] user_not_changed(pool, text) = "[pool {pool}] {text}",
        do "Check that php-fpm runs as root, or with CAP_SETUID and CAP_SETGID.";

    /// `process.dumpable`: the worker stays unable to dump core and to be traced.
    [Fpm Error] not_dumpable(pool, reason) = "[pool {pool}] failed to prctl(PR_SET_DUMPABLE): {reason}",
        do "Check the security policy of the system (seccomp).";

    /// The kernel does not promise to end the worker with its zygote.
    [Ours Error] not_tied_to_the_zygote(pool, reason) =
        "[pool {pool}] cannot tie a worker to its zygote by PR_SET_PDEATHSIG: {reason}",
        do "Check the security policy of the system (seccomp).";

    /// The zygote ended while this worker was made. A new zygote makes a new worker.
    [Ours Error] zygote_gone_during_setup(pool) = "[pool {pool}] a worker exits: its zygote has ended meanwhile",
        do "See the line about the end of the zygote.";

    /// `apparmor_hat`: the confinement of the worker cannot be read.
    [Fpm Error] confinement_unknown(pool, reason) =
        "[pool {pool}] failed to query apparmor confinement. Please check if \"/proc/*/attr/current\" is read and writeable.: {reason}",
        do "Mount /proc, load AppArmor, and let the profile read and write this file.";

    /// `apparmor_hat`: the worker cannot change to the hat. It does not serve.
    [Fpm Error] confinement_not_changed(pool, wanted, present, reason) =
        "[pool {pool}] failed to change to new confinement ({wanted}). Please check if \"/proc/*/attr/current\" is read and writeable and \"change_profile -> {present}//*\" is allowed.: {reason}",
        do "Define the hat, and allow `change_profile` to it in the profile.";

    /// The worker cannot unblock its signals.
    [Ours Error] signals_not_unblocked(pool, reason) = "[pool {pool}] cannot unblock the signals of a worker: {reason}",
        do "Check the security policy of the system (seccomp).";

    /// The engine cannot apply the settings of the pool.
    [Ours Error] pool_settings_failed(pool, reason) = "[pool {pool}] a worker cannot apply the settings of its pool: {reason}",
        do "Correct the php_value and php_admin_value settings of the pool.";

    /// Slow requests of this worker are logged without a trace of the script.
    [Ours Error] tracer_not_started(pool, reason) =
        "[pool {pool}] the slow log has no traces of a worker: its tracer cannot start: {reason}",
        do "For `Resource temporarily unavailable`, raise the limit on processes of the pool's user.";

    /// The limit on processes that the pool's scripts are to have (RLIMIT_NPROC) cannot be set. The worker does not serve.
    [Ours Error] process_limit_not_set(pool, reason) =
        "[pool {pool}] a worker exits: it cannot set its limit on processes (RLIMIT_NPROC): {reason}",
        do "Check the security policy of the system (seccomp).";

    /// The worker cannot tell a process that a script forks from itself. It does not serve.
    [Ours Error] forks_not_detected(pool, reason) =
        "[pool {pool}] a worker exits: it cannot detect processes that scripts fork: {reason}",
        do "Check the limit on memory.";
}
