//! The messages between supervisor, zygotes and workers.

use serde::{Deserialize, Serialize};

use crate::log::Level;
use crate::sys::packets::LONGEST;
use crate::sys::process::Exit;

/// The version of the protocol. It increases when a message or the layout of shared memory changes its meaning, not
/// for new messages and fields. Version 1: older zygotes, which send their messages over the socket of their orders.
pub(crate) const PROTOCOL: u32 = 2;
/// The versions that this program speaks with a peer of another build that starts now.
pub(crate) const SPOKEN: [u32; 1] = [PROTOCOL];
/// The version of zygotes that don't send `Hello`.
pub(crate) const FORMER_PROTOCOL: u32 = 1;

/// Supervisor to zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToZygote {
    /// Fork a worker for that slot. Descriptors: its stdout and stderr, or none; then those for the questions and
    /// answers of its tracer.
    Fork {
        /// Index of the pool.
        pool: usize,
        /// The slot.
        slot: u32,
        /// The worker gets a tracer.
        #[serde(default)]
        traced: bool,
    },
    /// The workers drain (the drain signal tells them), and parked connections move to the successor. One descriptor
    /// for each pool in `pools`: the sending end of a link to the successor's zygote.
    Drain {
        /// Indices of pools, in the order of the descriptors.
        pools: Vec<usize>,
    },
    /// Take connections from a predecessor. One descriptor: the receiving end of a link from its pool.
    Adopt {
        /// Index of the pool here.
        pool: usize,
    },
    /// Send a signal to the worker in that slot.
    Signal {
        /// Index of the pool.
        pool: usize,
        /// The slot.
        slot: u32,
        /// The signal's number.
        signal: i32,
    },
    /// Tell the worker in that slot to drain; its slot says so already.
    Retire {
        /// Index of the pool.
        pool: usize,
        /// The slot.
        slot: u32,
    },
    /// Pass the pool's new access log to its workers. One descriptor: the log.
    AccessLog {
        /// Index of the pool.
        pool: usize,
        /// How many times the logs have been opened again.
        reopened: u64,
    },
    /// The zygote isn't needed at the moment: it exits, or sends `Stays`.
    Release,
    /// Pass on the connections that the links still hold, and exit.
    Leave,
}

/// Zygote to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToSupervisor {
    /// The first message of a zygote.
    Hello {
        /// `PROTOCOL` of its program.
        protocol: u32,
        /// PHP's version.
        php: String,
    },
    /// A line for the log.
    Said {
        /// Its level.
        level: Level,
        /// Its text.
        text: String,
    },
    /// Files that this PHP was started with, and their marks (`configured::loaded_files`). Several messages follow each other. Sent
    /// only if the specification asks for it.
    Files {
        /// It is the first of them.
        first: bool,
        /// php.ini, in the first of them.
        #[serde(default)]
        php_ini: Option<String>,
        /// Paths and marks.
        files: Vec<(String, u64)>,
    },
    /// Before `Ready`: asks to remove the zygote's RLIMIT_NPROC. Its workers set the limit of the specification again.
    RemoveProcessLimit,
    /// PHP has started.
    Ready,
    /// PHP could not be started, for this reason.
    Failed(String),
    /// It was forked from a base zygote, and the group needs one that starts PHP itself, for this reason.
    NeedsOwnStart(String),
    /// Connections wait at a pool whose number of workers changes, and no worker is free.
    Demand {
        /// Index of the pool.
        pool: usize,
        /// The number of bytes.
        waiting: u32,
    },
    /// The answer to `Release`: the zygote holds connections, so it doesn't exit.
    Stays,
    /// A worker was forked.
    Forked {
        /// Index of the pool.
        pool: usize,
        /// The slot.
        slot: u32,
        /// Its pid.
        pid: i32,
    },
    /// fork() failed with that errno.
    ForkFailed {
        /// Index of the pool.
        pool: usize,
        /// The slot.
        slot: u32,
        /// The error number.
        errno: i32,
    },
    /// A worker has sent a message.
    Worker {
        /// Index of the pool.
        pool: usize,
        /// The slot.
        slot: u32,
        /// Its text.
        says: WorkerSays,
    },
    /// A worker has ended.
    Exited {
        /// Index of the pool.
        pool: usize,
        /// The slot.
        slot: u32,
        /// Its pid.
        pid: i32,
        /// How it ended.
        exit: Exit,
    },
}

impl ToSupervisor {
    /// Encodes the message as a packet. A text that doesn't fit is cut.
    #[must_use]
    pub(crate) fn packet(&self) -> Vec<u8> {
        const CUT: &str = " ...";
        let mut shorter = self.clone();
        let mut packet = serde_json::to_vec(&shorter).unwrap_or_default();
        while packet.len() > LONGEST {
            let Some(text) = shorter.text_mut().filter(|text| text.len() > CUT.len()) else { break };
            // Escaped characters take more bytes in the packet than in the text.
            let kept = (text.len() * LONGEST / packet.len()).saturating_sub(2 * CUT.len());
            text.truncate(text.floor_char_boundary(kept));
            text.push_str(CUT);
            packet = serde_json::to_vec(&shorter).unwrap_or_default();
        }
        packet
    }

    /// Messages for these files, each of which fits into a packet. A path that alone does not fit is left out.
    #[must_use]
    pub(crate) fn about_files(php_ini: Option<&str>, files: &[(String, u64)]) -> Vec<Self> {
        // Most of a packet, and what JSON adds to a path.
        const ROOM: usize = LONGEST - 100;
        const MARK: usize = r#"["",],"#.len() + 20;
        let size = |path: &str| serde_json::to_string(path).map_or(ROOM, |text| text.len()) + MARK;
        let php_ini = php_ini.filter(|path| size(path) <= ROOM / 2);
        let mut parts: Vec<(usize, Vec<(String, u64)>)> = vec![(php_ini.map_or(0, size), Vec::new())];
        for (file, size) in files.iter().map(|file| (file, size(&file.0))).filter(|(_, size)| *size <= ROOM) {
            match parts.last_mut().filter(|(taken, _)| taken + size <= ROOM) {
                Some((taken, part)) => {
                    *taken += size;
                    part.push(file.clone());
                }
                None => parts.push((size, vec![file.clone()])),
            }
        }
        let message = |(at, (_, files))| {
            let first = at == 0;
            Self::Files { first, php_ini: php_ini.filter(|_| first).map(str::to_owned), files }
        };
        parts.into_iter().enumerate().map(message).collect()
    }

    /// The pool and slot of the message; for messages about a whole pool, its first slot.
    #[must_use]
    pub(crate) fn place(&self) -> Option<(usize, u32)> {
        match *self {
            Self::Demand { pool, .. } => Some((pool, 0)),
            Self::Forked { pool, slot, .. }
            | Self::ForkFailed { pool, slot, .. }
            | Self::Worker { pool, slot, .. }
            | Self::Exited { pool, slot, .. } => Some((pool, slot)),
            Self::Hello { .. }
            | Self::Said { .. }
            | Self::Files { .. }
            | Self::RemoveProcessLimit
            | Self::Ready
            | Self::Failed(_)
            | Self::NeedsOwnStart(_)
            | Self::Stays => None,
        }
    }

    fn text_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Failed(text)
            | Self::NeedsOwnStart(text)
            | Self::Said { text, .. }
            | Self::Hello { php: text, .. } => Some(text),
            Self::Worker { says: WorkerSays::Failed(text), .. } => Some(text),
            _ => None,
        }
    }
}

/// Worker to zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WorkerSays {
    /// The worker can't serve, for this reason.
    Failed(String),
    /// The worker waits for requests.
    Accepting,
    /// The worker takes no more requests and is about to exit.
    Left,
}

/// Zygote to worker. When the channel ends, the zygote has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// Take no more requests, and exit.
    Retire,
    /// The zygote exits: accept no more connections, serve those in the hand-over queue, and exit.
    Part,
    /// Use a new access log. One descriptor: the log.
    AccessLog {
        /// How many times the logs have been opened again.
        reopened: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_is_about() {
        let place = |text: &str| serde_json::from_str::<ToSupervisor>(text).map(|message| message.place()).ok();
        let at = r#""pool":3,"slot":4"#;
        assert_eq!(place(r#"{"Demand":{"pool":3,"waiting":9}}"#), Some(Some((3, 0))));
        assert_eq!(place(&format!(r#"{{"Forked":{{{at},"pid":9}}}}"#)), Some(Some((3, 4))));
        assert_eq!(place(&format!(r#"{{"ForkFailed":{{{at},"errno":9}}}}"#)), Some(Some((3, 4))));
        assert_eq!(place(&format!(r#"{{"Worker":{{{at},"says":"Left"}}}}"#)), Some(Some((3, 4))));
        assert_eq!(place(&format!(r#"{{"Exited":{{{at},"pid":9,"exit":{{"Code":0}}}}}}"#)), Some(Some((3, 4))));
        assert_eq!(place(r#""Ready""#), Some(None));
    }

    #[test]
    fn a_long_text_is_cut_to_a_packet() {
        let long = ["x".repeat(9000), "\u{1}".repeat(5000), "\u{20ac}\n".repeat(4000), "\"".repeat(2050)];
        for text in long {
            let says = WorkerSays::Failed(text.clone());
            let messages = [
                ToSupervisor::Failed(text.clone()),
                ToSupervisor::Said { level: Level::Error, text: text.clone() },
                ToSupervisor::Worker { pool: usize::MAX, slot: u32::MAX, says },
            ];
            for message in messages {
                let packet = message.packet();
                assert!(packet.len() <= LONGEST, "{}", packet.len());
                let mut read: ToSupervisor = serde_json::from_slice(&packet).unwrap();
                let read = read.text_mut().unwrap().clone();
                let kept = read.trim_end_matches(" ...");
                assert!(read.ends_with(" ..."));
                assert!(text.starts_with(kept) && kept.len() > 500, "{}", kept.len());
            }
        }
        let short = ToSupervisor::Failed("no php.ini".to_owned());
        assert_eq!(serde_json::from_slice::<ToSupervisor>(&short.packet()).unwrap(), short);
    }

    #[test]
    fn many_files_are_told_in_several_packets() {
        let files: Vec<(String, u64)> = (0..500_u64)
            .map(|n| (format!("/usr/lib/php/\"{n}\u{1}\u{20ac}.so"), u64::MAX - n))
            .chain([("x".repeat(5000), 1), ("/last".to_owned(), 2)])
            .collect();
        let messages = ToSupervisor::about_files(Some("/etc/php.ini"), &files);
        let mut told = Vec::new();
        for (at, message) in messages.iter().enumerate() {
            assert!(message.packet().len() <= LONGEST);
            let ToSupervisor::Files { first, php_ini, files } = message else { panic!("{message:?}") };
            assert_eq!((*first, php_ini.is_some()), (at == 0, at == 0));
            told.extend(files.clone());
        }
        assert_eq!(told.len(), 501);
        assert!(messages.len() < 20 && told.iter().all(|file| files.contains(file)), "{}", messages.len());
    }

    /// After a reload the supervisor reads messages of zygotes of the former program.
    #[test]
    fn the_word_of_an_older_zygote_is_understood() {
        let said = serde_json::from_str(r#"{"Demand":{"pool":1,"waiting":2}}"#).unwrap();
        assert_eq!(ToSupervisor::Demand { pool: 1, waiting: 2 }, said);
    }
}
