//! The groups as `php-fpm status` shows them: the supervisor writes them into a memfd when a command asks, with the number that the
//! command has given. The command finds the file in `/proc`, as the results.

use std::fs::File;
use std::io;

use nix::sys::memfd::MFdFlags;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::found_memory::{find_memory, publish, read_published};
use crate::sys::{fd, shared};

const NAME: &str = "cgi-fpm-groups";

/// The most bytes that are read.
const MOST: u64 = 16 * 1024 * 1024;

/// The groups at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GroupTable {
    /// The number of the request that it answers.
    pub answers: u64,
    /// The groups.
    pub groups: Vec<GroupRow>,
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GroupRow {
    /// Its name.
    pub name: String,
    /// The users of its pools.
    pub user: String,
    /// The version of its PHP; empty: not known yet.
    pub php: String,
    /// Its php.ini.
    pub php_ini: Option<String>,
    /// The pid of its zygote.
    pub zygote: Option<i32>,
    /// The number of the generation that serves; 0: none does.
    pub generation: u32,
    /// Since when it serves, in seconds since 1970.
    pub since: u64,
    /// Its workers.
    pub workers: u32,
    /// Former generations that finish their requests.
    pub draining: u32,
    /// Why the last reload could not change it, or why it cannot start.
    pub failure: Option<String>,
}

/// The supervisor's side.
#[derive(Debug)]
pub(crate) struct GroupTableWriter(File);

impl GroupTableWriter {
    /// Creates the file.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(File::from(fd::lift(shared::memory_file(NAME, MFdFlags::empty())?))))
    }

    /// Writes the table.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn write(&self, table: &GroupTable) -> io::Result<()> {
        publish(&self.0, table)
    }
}

/// Reads the table of a process. `None`: it has none, or is writing it.
#[must_use]
pub(crate) fn read_group_table(pid: Pid) -> Option<GroupTable> {
    read_published(&find_memory(pid, NAME)?, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_by_its_process() {
        let writer = GroupTableWriter::new().unwrap();
        let row = GroupRow { name: "www".to_owned(), workers: 3, ..GroupRow::default() };
        for answers in [1, 2] {
            let table = GroupTable { answers, groups: vec![row.clone(); 3 - usize::try_from(answers).unwrap()] };
            writer.write(&table).unwrap();
            assert_eq!(read_group_table(Pid::this()), Some(table));
        }
    }
}
