//! The surroundings of a server at its start: variables, sockets that it inherits, programs that execute it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;
use crate::{Outcome, ensure};

/// Empty by default.
#[derive(Debug, Default)]
pub struct Around {
    /// Variables, in addition to those of the test.
    pub environment: Vec<(String, String)>,
    /// A program and its arguments. It executes the words after them.
    pub before: Vec<String>,
    /// At most three sockets with their names, passed as systemd does: from descriptor 3 on, with LISTEN_PID and
    /// LISTEN_FDS.
    pub sockets: Vec<(String, OwnedFd)>,
}

/// A program can be given standard streams without unsafe code, so the sockets arrive there; a shell then moves them.
const PASS: &str = r#"
for fd in 0 1 2; do [ "$fd" -ge "$LISTEN_FDS" ] || eval "exec $((fd + 3))<&$fd"; done
exec </dev/null >>"$STDIO" 2>&1
unset STDIO
export LISTEN_PID=$$
exec "$@""#;

impl Around {
    /// The command with all of these surroundings.
    ///
    /// # Errors
    /// If the file for its output cannot be created.
    pub(crate) fn apply(self, command: &Command, sandbox: &Sandbox) -> Outcome<Command> {
        let mut words: Vec<_> = self.before.iter().map(Into::into).collect();
        if !self.sockets.is_empty() {
            words.extend(["sh", "-c", PASS, "sh"].map(Into::into));
        }
        words.push(command.get_program().to_owned());
        words.extend(command.get_args().map(ToOwned::to_owned));
        let mut whole = Command::new(words.first().ok_or("no program")?);
        whole.args(words.iter().skip(1)).envs(self.environment);
        whole.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = command.get_current_dir() {
            whole.current_dir(directory);
        }
        let output = File::create(sandbox.file("stdio"))?;
        whole.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        pass(&mut whole, self.sockets, sandbox)?;
        Ok(whole)
    }
}

fn pass(command: &mut Command, sockets: Vec<(String, OwnedFd)>, sandbox: &Sandbox) -> Outcome {
    ensure!(sockets.len() <= 3, "more sockets than standard streams");
    if sockets.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = sockets.iter().map(|(name, _)| name.as_str()).collect();
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    command.env("STDIO", sandbox.file("stdio"));
    for (stream, (_, socket)) in sockets.into_iter().enumerate() {
        match stream {
            0 => command.stdin(socket),
            1 => command.stdout(socket),
            _ => command.stderr(socket),
        };
    }
    Ok(())
}
