//! Memory of a process tree.

use testkit::server::Server;

/// Memory in kB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Private memory, and each process's share of what it shares.
    pub pss: u64,
    /// Page tables.
    pub tables: u64,
}

/// The memory of the supervisor and of everything that it has started.
pub fn of(server: &Server) -> Memory {
    let mut memory = Memory::default();
    for process in server.supervisor.tree() {
        memory.pss += process.pss_kb();
        memory.tables += process.status_number("VmPTE");
    }
    memory
}
