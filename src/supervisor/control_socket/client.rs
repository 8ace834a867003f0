//! A command that has connected.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};

use crate::ipc::{CONTROL_LONGEST, ControlAnswer, ControlRequest, GroupAnswer};
use crate::plan::fleet::GenerationId;
use crate::sys::clock::Moment;
use crate::sys::{listen, message};

/// A command that has not sent its request by then is closed.
const SENDS: Duration = Duration::from_secs(5);
/// So long one may wait for its answer.
const WAITS: Duration = Duration::from_secs(300);

/// A command.
#[derive(Debug)]
pub(crate) struct Client {
    fd: OwnedFd,
    /// It is closed then.
    pub(crate) until: Moment,
    /// Groups that it waits for.
    pub(crate) renewing: Vec<Renewing>,
    /// Its answer, as far as it is known.
    pub(crate) answers: Vec<GroupAnswer>,
}

/// A group that is being renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renewing {
    /// Its name.
    pub(crate) group: String,
    /// The pools that were asked for.
    pub(crate) pools: Vec<String>,
    /// What served at the request.
    pub(crate) old: GenerationId,
}

/// Who has connected.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// One that may ask.
    Client(Client),
    /// One whose user may not ask. It is closed.
    Refused,
    /// None waits.
    Nobody,
}

/// What was received.
#[derive(Debug)]
pub(crate) enum Message {
    /// A request.
    Request(ControlRequest),
    /// Something else; the command is told why.
    Nonsense(String),
    /// The command has gone.
    Gone,
    /// Nothing.
    Nothing,
}

impl Client {
    /// Accepts the next one. Nothing is read of one whose user may not ask.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub(crate) fn accept(listener: &OwnedFd, now: Moment) -> io::Result<Accepted> {
        let Some(fd) = listen::accept(listener)? else { return Ok(Accepted::Nobody) };
        if !is_allowed(&fd) {
            return Ok(Accepted::Refused);
        }
        message::refuse_descriptors(&fd);
        Ok(Accepted::Client(Self { fd, until: now + SENDS, renewing: Vec::new(), answers: Vec::new() }))
    }

    /// Whether its request was taken, and not answered yet.
    pub(crate) fn has_request(&self) -> bool {
        !self.renewing.is_empty() || !self.answers.is_empty()
    }

    /// Takes its request. It sends only one.
    pub(crate) fn receive(&mut self, now: Moment) -> Message {
        let mut buffer = vec![0; CONTROL_LONGEST];
        match message::receive_one(&self.fd, &mut buffer) {
            Ok(None) => Message::Gone,
            Err(e) if message::is_for_later(&e) => Message::Nothing,
            Err(e) => Message::Nonsense(e.to_string()),
            Ok(Some((_, Some(_)))) => Message::Nonsense("a request has no descriptors".to_owned()),
            Ok(Some(_)) if self.until > now + SENDS => Message::Nonsense("a second request".to_owned()),
            Ok(Some((length, None))) => {
                self.until = now + WAITS;
                let request = ControlRequest::read(buffer.get(..length).unwrap_or_default());
                request.map_or_else(|e| Message::Nonsense(e.to_string()), Message::Request)
            }
        }
    }

    /// Answers. The caller drops it. If the answer cannot be sent, a short one says so: a command that gets none asks again.
    pub(crate) fn answer(&self, answer: &ControlAnswer) {
        if let Err(e) = self.send(answer) {
            let short = format!("the answer could not be sent: {e}; see the log for what was done");
            let _ = self.send(&ControlAnswer::refusal(short));
        }
    }

    fn send(&self, answer: &ControlAnswer) -> io::Result<()> {
        let (message, memory) = answer.packet()?;
        let memory: Vec<BorrowedFd<'_>> = memory.iter().map(AsFd::as_fd).collect();
        message::send(&self.fd, &message, &memory)
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Root and the supervisor's own user may ask. The kernel says who has connected.
fn is_allowed(fd: &OwnedFd) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    getsockopt(fd, sockopt::PeerCredentials).is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}
