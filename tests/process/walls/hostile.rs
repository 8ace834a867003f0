//! Native code of alice in her zygote: an extension that her pool loads, and that does at a signal what the test wants.

use std::process::Command;

use testkit::extension;
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::{Outcome, ensure};

use super::{ALICE, BOB, GLOBAL, Neighbours, section, start};

const SOURCE: &str = include_str!("hostile.c");

/// Two pools of two users. The zygote of the first has the extension; its workers, too.
pub(super) fn neighbours(target: &Target, global: &str, alice: &str) -> Outcome<Neighbours> {
    let sandbox = Sandbox::new()?;
    let source = format!("#define MODE_FILE \"{}\"\n{SOURCE}", sandbox.file("mode").display());
    let library = extension::build(target, &sandbox, "hostile", &source)?;
    let alice = format!("process.php_define[extension] = {}\n{alice}", library.display());
    let conf = format!("{GLOBAL}log_level = debug\n{global}\n{}{}", section(ALICE, 2, &alice), section(BOB, 2, ""));
    Ok(Neighbours { server: start(target, sandbox, &conf)? })
}

/// Lets a process with the extension do that.
pub(super) fn act(pools: &Neighbours, process: Process, what: &str) -> Outcome {
    pools.server.sandbox.put("mode", what)?;
    ensure!(process.lives(), "the process has ended");
    let sent = Command::new("kill").arg("-43").arg(process.pid.to_string()).status()?;
    ensure!(sent.success(), "kill: {sent}");
    Ok(())
}
