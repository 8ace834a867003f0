//! Memory and wake-ups of a process tree.

use std::fs;

use testkit::process::Process;
use testkit::server::Server;

/// Memory in kB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Private memory, and each process's share of what it shares.
    pub pss: u64,
    /// Page tables.
    pub tables: u64,
}

/// The supervisor and everything that it has started.
pub fn tree(server: &Server) -> Vec<Process> {
    [vec![server.supervisor], server.supervisor.descendants()].concat()
}

/// The memory of the tree.
pub fn of(server: &Server) -> Memory {
    let mut memory = Memory::default();
    for process in tree(server) {
        memory.pss +=
            field(&fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid)).unwrap_or_default(), "Pss:");
        memory.tables += number(process, "VmPTE");
    }
    memory
}

/// How often the processes of the tree were scheduled so far.
pub fn switches(server: &Server) -> u64 {
    let of = |process| number(process, "voluntary_ctxt_switches") + number(process, "nonvoluntary_ctxt_switches");
    tree(server).into_iter().map(of).sum()
}

fn number(process: Process, name: &str) -> u64 {
    process.status(name).first().and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
