//! Everything that a test has started ends with it, even if the test itself is killed or interrupted.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::Outcome;

/// A shell that waits for the end of this process and then kills a process group. Drop only ends the shell: by then
/// the owner has ended the group, and its id may belong to another one.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
    alive: Option<ChildStdin>,
}

impl Guard {
    /// Over the group of that id.
    ///
    /// # Errors
    /// When the shell can't be started.
    pub fn over(group: u32) -> Outcome<Self> {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "read -r _ || kill -KILL \"-$1\" 2>/dev/null", "guard", &group.to_string()]);
        let mut shell =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn()?;
        Ok(Self { alive: shell.stdin.take(), shell })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut alive) = self.alive.take() {
            let _ = alive.write_all(b"ended\n");
        }
        let _ = self.shell.wait();
    }
}
