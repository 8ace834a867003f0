//! Output of zygotes and workers, and slow logs.

use super::messages;

messages! {
    /// The stdout and stderr of a worker could not be caught: they go to the supervisor's.
    [Ours Error] output_not_caught(pool, reason) = "[pool {pool}] unable to catch a worker's output: {reason}",
        do "The reason is that of the system: free memory, or raise the limit of descriptors.";

    /// The output of a process could not be read.
    [Ours Error] output_not_watched(reason) = "unable to watch a process's output: {reason}",
        do "The reason is that of the system: free memory, or raise its limits.";

    /// The group's processes have written more than 1 MiB of lines in a second. The rest of this pipe was dropped.
    [Ours Warning] zygote_output_dropped(group, bytes) = "[group {group}] zygote wrote too much: {bytes} bytes dropped",
        do "See the lines before for what writes so much.";

    /// Base zygotes have written more than 1 MiB of lines in a second. The rest of this pipe was dropped.
    [Ours Warning] base_output_dropped(pid, bytes) = "base zygote {pid} wrote too much: {bytes} bytes dropped",
        do "See the lines before for what writes so much.";

    /// The monitor has written more than 1 MiB of lines in a second. The rest was dropped.
    [Ours Warning] monitor_output_dropped(pid, bytes) = "monitor {pid} wrote too much: {bytes} bytes dropped",
        do "See the lines before for what writes so much.";

    /// The group's processes have written more than 1 MiB of lines in a second. The rest of this pipe was dropped.
    [Ours Warning] worker_output_dropped(pool, pid, bytes) = "[pool {pool}] child {pid} wrote too much: {bytes} bytes dropped",
        do "See the lines before for the script that writes so much.";

    /// A process keeps the lock of a pipe to the supervisor (splice(2), or memory of a file system in user space), so it can't be
    /// read. The processes that have this pipe open are killed, except root's: the worker or zygote, and what it has started.
    [Ours Error] pipe_locked(owner) = "{owner} a process has kept an output or message pipe locked for 2 seconds: all processes with this pipe are killed",
        do "Look for a program that a script of this pool has started: it attacks the supervisor.";

    /// The worker gets no pipe to its tracer: its slow requests are logged without a trace.
    [Ours Error] requests_not_traced(pool, reason) = "[pool {pool}] slow requests can't be traced: {reason}",
        do "The reason is that of the system: raise the limit of descriptors.";

    /// The slow log of a pool could not be opened. The entries are lost.
    [Fpm Error] slow_log_not_opened(path, reason) = "unable to open slowlog ({path}): {reason}",
        do "Make the path writable for the pool's user, or for root.";

    /// No process reads the slow log (a FIFO), or its directory does not answer. Entries are lost.
    [Ours Warning] slow_log_not_read(path, bytes) = "slowlog ({path}) is not read: {bytes} bytes lost",
        do "Start the reader of the slow log, or repair its file system.";
}
