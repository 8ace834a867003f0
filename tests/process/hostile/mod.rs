//! Native code of a pool's user: an extension that does at a signal what the test wants.

use std::path::PathBuf;
use std::process::Command;

use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::{Outcome, ensure, extension};

const SOURCE: &str = include_str!("hostile.c");

/// Compiles the extension.
pub(super) fn build(target: &Target, sandbox: &Sandbox) -> Outcome<PathBuf> {
    let directory = sandbox.path().display().to_string();
    extension::build(target, sandbox, "hostile", &format!("#define DIRECTORY \"{directory}\"\n{SOURCE}"))
}

/// Lets a process with the extension do that.
pub(super) fn act(sandbox: &Sandbox, process: Process, what: &str) -> Outcome {
    sandbox.put("mode", what)?;
    ensure!(process.lives(), "the process has ended");
    let sent = Command::new("kill").arg("-43").arg(process.pid.to_string()).status()?;
    ensure!(sent.success(), "kill: {sent}");
    Ok(())
}
