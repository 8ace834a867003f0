//! What stands around a server that is started: variables, sockets that it is passed, programs that become it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;
use crate::{Outcome, ensure};

/// Nothing, by default.
#[derive(Debug, Default)]
pub struct Around {
    /// Variables, beside those of the test.
    pub environment: Vec<(String, String)>,
    /// A program and its arguments, which executes those behind them.
    pub before: Vec<String>,
    /// Sockets with their names, three at most, passed as systemd does: from descriptor 3 on, with LISTEN_PID and kin.
    pub sockets: Vec<(String, OwnedFd)>,
}

/// The sockets come as standard streams, which a program can be given without unsafe code, and are put where they belong.
const PASS: &str = r#"
for fd in 0 1 2; do [ "$fd" -ge "$LISTEN_FDS" ] || eval "exec $((fd + 3))<&$fd"; done
exec </dev/null >>"$STDIO" 2>&1
unset STDIO
export LISTEN_PID=$$
exec "$@""#;

impl Around {
    /// The command with all that around it.
    ///
    /// # Errors
    /// When the file for its output can't be made.
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
