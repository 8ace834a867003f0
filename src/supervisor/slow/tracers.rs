//! Tracers: a thread of each worker whose pool limits requests. Asked through a socket, it answers through a pipe where its script is.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::ipc::trace::{self, Packet};
use crate::plan::fleet::WorkerKey;
use crate::request_ids::RequestIds;
use crate::supervisor::poller::Poller;
use crate::sys::peer_pipe::{PeerPipe, Read};
use crate::sys::{message, packets};

/// Most packets of a tracer that are read before other sources get their turn.
const TURN: usize = 32;

/// The purpose of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// The slow log.
    Slow,
    /// The error log; the worker is ended afterwards.
    TimedOut,
}

/// A tracer's answer, or the lack of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Asked for the slow log.
    pub slow: bool,
    /// Asked for the error log.
    pub timed_out: bool,
    /// The pid of the worker when it was asked.
    pub pid: i32,
    /// The ids of its request when it was asked.
    pub ids: Option<RequestIds>,
    /// Lines, from a process that is not trusted.
    pub text: Vec<u8>,
    /// The text is whole.
    pub complete: bool,
}

/// The ways to one tracer.
#[derive(Debug)]
struct Tracer {
    questions: OwnedFd,
    answers: PeerPipe,
    /// The poller's token while an answer is awaited. Answers to no question are not read.
    token: Option<u64>,
    slow: bool,
    timed_out: bool,
    pid: i32,
    ids: Option<RequestIds>,
    text: Vec<u8>,
}

/// The tracers of all workers that have one.
#[derive(Debug, Default)]
pub(crate) struct Tracers {
    workers: BTreeMap<WorkerKey, Tracer>,
}

impl Tracers {
    /// Makes a socket for questions to a new worker and a pipe for its answers, and returns the ends that it gets, in this order. A
    /// socket, because a process that reads a pipe could keep it locked while this process writes.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub(crate) fn open(&mut self, poller: &mut Poller, key: WorkerKey, pool: &str) -> io::Result<(OwnedFd, OwnedFd)> {
        let (their_questions, questions) = message::pair()?;
        message::refuse_all(&questions)?;
        let (answers, their_answers) = packets::pair()?;
        self.add(poller, key, questions, answers, pool);
        Ok((their_questions, their_answers))
    }

    /// Adds one whose descriptors a former image has made, or a new one.
    pub(crate) fn add(
        &mut self,
        poller: &mut Poller,
        key: WorkerKey,
        questions: OwnedFd,
        answers: OwnedFd,
        pool: &str,
    ) {
        let answers = PeerPipe::new(answers, &format!("[pool {pool}]"));
        self.remove(poller, key);
        let (token, slow, timed_out, pid, ids, text) = (None, false, false, 0, None, Vec::new());
        self.workers.insert(key, Tracer { questions, answers, token, slow, timed_out, pid, ids, text });
    }

    /// Its worker has ended.
    pub(crate) fn remove(&mut self, poller: &mut Poller, key: WorkerKey) {
        if let Some(tracer) = self.workers.remove(&key)
            && let Some(token) = tracer.token
        {
            poller.remove(&tracer.answers, token);
        }
    }

    /// Finds out whether a process keeps the tracer's pipe locked.
    pub(crate) fn probe(&self, key: WorkerKey) {
        if let Some(tracer) = self.workers.get(&key) {
            tracer.answers.probe();
        }
    }

    /// Asks where the script of a worker is. `of`: the worker's pid, and the ids of its request. False: there will be no answer.
    pub(crate) fn ask(
        &mut self,
        poller: &mut Poller,
        key: WorkerKey,
        of: (i32, Option<RequestIds>),
        question: Question,
    ) -> bool {
        self.try_ask(poller, key, of, question).is_some()
    }

    fn try_ask(
        &mut self,
        poller: &mut Poller,
        key: WorkerKey,
        of: (i32, Option<RequestIds>),
        question: Question,
    ) -> Option<()> {
        let tracer = self.workers.get_mut(&key)?;
        if tracer.token.is_none() {
            tracer.text.clear();
            discard_unasked(&tracer.answers);
            tracer.token = Some(poller.add_tracer(&tracer.answers, key).ok()?);
        }
        // A tracer that doesn't take the question doesn't answer one either.
        packets::send(&tracer.questions, trace::ASK).ok()?;
        (tracer.pid, tracer.ids) = of;
        match question {
            Question::Slow => tracer.slow = true,
            Question::TimedOut => tracer.timed_out = true,
        }
        Some(())
    }

    /// Reads what a tracer has sent; returns its answer when that is over. A tracer that has ended, or that breaks the protocol,
    /// is removed.
    pub(crate) fn hear(&mut self, poller: &mut Poller, key: WorkerKey) -> Option<Answer> {
        let mut packet = [0; packets::LONGEST];
        for _ in 0..TURN {
            let tracer = self.workers.get_mut(&key).filter(|tracer| tracer.token.is_some())?;
            let length = match tracer.answers.read(&mut packet) {
                Ok(Read::Bytes(length)) => length,
                Ok(Read::Nothing) => return None,
                Ok(Read::Locked | Read::Closed) | Err(_) => return self.lose(poller, key),
            };
            let Some((kind, text)) = trace::open(packet.get(..length).unwrap_or_default()) else {
                return self.lose(poller, key);
            };
            tracer.text.extend_from_slice(text);
            if tracer.text.len() > trace::MOST {
                return self.lose(poller, key);
            }
            if kind != Packet::More {
                return self.answer(poller, key, kind == Packet::Last);
            }
        }
        None
    }

    fn lose(&mut self, poller: &mut Poller, key: WorkerKey) -> Option<Answer> {
        let answer = self.answer(poller, key, false);
        self.remove(poller, key);
        answer
    }

    fn answer(&mut self, poller: &mut Poller, key: WorkerKey, complete: bool) -> Option<Answer> {
        let tracer = self.workers.get_mut(&key)?;
        if let Some(token) = tracer.token.take() {
            poller.remove(&tracer.answers, token);
        }
        Some(Answer {
            slow: std::mem::take(&mut tracer.slow),
            timed_out: std::mem::take(&mut tracer.timed_out),
            pid: tracer.pid,
            ids: tracer.ids,
            text: std::mem::take(&mut tracer.text),
            complete,
        })
    }

    /// The descriptors of questions and of answers, for the next image.
    #[must_use]
    pub(crate) fn state(&self) -> Vec<(WorkerKey, RawFd, RawFd)> {
        let pipes =
            |(key, tracer): (&WorkerKey, &Tracer)| (*key, tracer.questions.as_raw_fd(), tracer.answers.as_raw_fd());
        self.workers.iter().map(pipes).collect()
    }
}

/// Reads what came before the question.
fn discard_unasked(answers: &PeerPipe) {
    const MOST: usize = 1024;
    let mut packet = [0; packets::LONGEST];
    let _ = (0..MOST).find(|_| !matches!(answers.read(&mut packet), Ok(Read::Bytes(_))));
}
