//! `php-fpm reload`: how it asks the supervisor, and what it prints about the result.

use nix::sys::signal::Signal;

use super::error::Failure;
use super::{Ended, signal};
use crate::ipc::{CommandResults, Request, RequestWriter};
use crate::log::messages::terminal as texts;
use crate::sys::pidfd::Process;
use crate::sys::signal::Heard;

/// Asks for a reload of a part, or of everything. A supervisor that takes no requests never gets their signal, which would end it.
pub(super) fn ask(process: &Process, request: Option<&Request>) -> Result<(), Failure> {
    let Some(request) = request else { return signal(process, Signal::SIGUSR2) };
    let pid = process.pid;
    // If this process may not signal the supervisor, that is the reason to give.
    process.may_signal().map_err(|source| Failure::Signal { pid, source })?;
    let mut requests = RequestWriter::open(pid).ok_or(Failure::NoRequests)?;
    requests.append(request).map_err(Failure::NotRequested)?;
    process.send(Heard::Request).map_err(|source| Failure::Signal { pid, source })
}

/// How a reload has ended.
pub(super) fn ended(now: &CommandResults) -> Ended {
    let late = (!now.late.is_empty()).then(|| texts::late_groups(now.late.join(", ")));
    let remarks = now.remarks.iter().cloned().chain(late);
    let Some(refusal) = &now.refusal else { return Ok(remarks.collect()) };
    if now.failed.is_empty() {
        return Err(Failure::Refused(refusal.clone()));
    }
    // If no group has changed, the text has the lines of the log, which say more.
    let mut before = if now.done == 0 { refusal.lines().map(str::to_owned).collect() } else { vec![now.summary()] };
    before.retain(|line| !now.failed.iter().any(|failed| failed.repeats(line)));
    let groups = now.failed.iter().map(|failed| format!("[{}] {}", failed.group, failed.reason));
    let listed = u32::try_from(now.failed.len()).unwrap_or(u32::MAX);
    let unlisted = now.failures.checked_sub(listed).filter(|more| *more > 0).map(texts::more_failed_groups);
    let lines: Vec<String> = before.iter().cloned().chain(groups).chain(unlisted).chain(remarks).collect();
    Err(Failure::Refused(lines.join("\n")))
}
