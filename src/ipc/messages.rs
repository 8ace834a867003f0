//! The messages.

use serde::{Deserialize, Serialize};

use crate::log::Level;
use crate::sys::packets::LONGEST;
use crate::sys::process::Exit;

/// What this program speaks. It counts up when a message or the layout of shared memory changes its meaning; new messages and
/// fields alone are no reason. 1: zygotes of before, which spoke over the socket that they got their orders from.
pub const PROTOCOL: u32 = 2;
/// That of zygotes which don't say what they speak.
pub const FORMER_PROTOCOL: u32 = 1;

/// Supervisor to zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToZygote {
    /// Fork a worker into that slot. Descriptors: its stdout and stderr, or none; then those by which its tracer is asked and answers.
    Fork {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
        slot: u32,
        /// It is to have a tracer.
        #[serde(default)]
        traced: bool,
    },
    /// Workers take nothing new (the generation's eventfd tells them); parked connections go to the successor:
    /// one descriptor per pool named here, the sending end of a link into the successor's zygote.
    Drain {
        /// Indices of pools, in the order of the descriptors.
        pools: Vec<usize>,
    },
    /// One descriptor: the receiving end of a link from a predecessor's pool.
    Adopt {
        /// Index of the pool here.
        pool: usize,
    },
    /// A signal for the worker in that slot.
    Signal {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
        slot: u32,
        /// The signal's number.
        signal: i32,
    },
    /// The worker in that slot is to take nothing new; the word in its slot says so already.
    Retire {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
        slot: u32,
    },
    /// One descriptor: that pool's access log, opened anew.
    AccessLog {
        /// Index of the pool.
        pool: usize,
        /// How many times logs have been opened anew.
        reopened: u64,
    },
    /// Nobody needs it at the moment: it leaves, or says `Stays`.
    Release,
    /// Nothing more is wanted: pass on what the links still hold and leave.
    Leave,
}

/// Zygote to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// Its first words.
    Hello {
        /// `PROTOCOL` of its program.
        protocol: u32,
        /// PHP's version.
        php: String,
    },
    /// A line for the log.
    Said {
        /// How severe.
        level: Level,
        /// What.
        text: String,
    },
    /// PHP has started.
    Ready,
    /// PHP can't be started; the reason.
    Failed(String),
    /// Connections wait at a pool that scales, and none of the workers that exist at this moment is free for them.
    Demand {
        /// Index of the pool.
        pool: usize,
        /// How many.
        waiting: u32,
    },
    /// It keeps connections, so it doesn't leave.
    Stays,
    /// A worker exists.
    Forked {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
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
        /// Why.
        errno: i32,
    },
    /// What a worker said.
    Worker {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
        slot: u32,
        /// What.
        says: WorkerSays,
    },
    /// A worker has ended.
    Exited {
        /// Index of the pool.
        pool: usize,
        /// Its slot.
        slot: u32,
        /// Its pid.
        pid: i32,
        /// How.
        exit: Exit,
    },
}

impl ToSupervisor {
    /// The message as a packet; a text that doesn't fit is cut.
    #[must_use]
    pub fn packet(&self) -> Vec<u8> {
        const CUT: &str = " ...";
        let mut shorter = self.clone();
        let mut packet = serde_json::to_vec(&shorter).unwrap_or_default();
        while packet.len() > LONGEST {
            let Some(text) = shorter.text_mut().filter(|text| text.len() > CUT.len()) else { break };
            // What is escaped takes more of the packet than of the text.
            let kept = (text.len() * LONGEST / packet.len()).saturating_sub(2 * CUT.len());
            text.truncate(text.floor_char_boundary(kept));
            text.push_str(CUT);
            packet = serde_json::to_vec(&shorter).unwrap_or_default();
        }
        packet
    }

    /// The pool and slot that it is about; for what is about a whole pool its first slot.
    #[must_use]
    pub fn place(&self) -> Option<(usize, u32)> {
        match *self {
            Self::Demand { pool, .. } => Some((pool, 0)),
            Self::Forked { pool, slot, .. }
            | Self::ForkFailed { pool, slot, .. }
            | Self::Worker { pool, slot, .. }
            | Self::Exited { pool, slot, .. } => Some((pool, slot)),
            Self::Hello { .. } | Self::Said { .. } | Self::Ready | Self::Failed(_) | Self::Stays => None,
        }
    }

    fn text_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Failed(text) | Self::Said { text, .. } | Self::Hello { php: text, .. } => Some(text),
            Self::Worker { says: WorkerSays::Failed(text), .. } => Some(text),
            _ => None,
        }
    }
}

/// Worker to zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerSays {
    /// It can't serve; the reason.
    Failed(String),
    /// It waits for requests.
    Accepting,
    /// It takes nothing new and is about to exit.
    Left,
}

/// Zygote to worker. The end of the channel is the end of the zygote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Take nothing new, and leave.
    Retire,
    /// The zygote leaves: take nothing new, serve what waits in the hand-over queue, and leave.
    Part,
    /// One descriptor: the access log, opened anew.
    AccessLog {
        /// How many times logs have been opened anew.
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

    /// Behind a reload the supervisor hears zygotes of the program before it.
    #[test]
    fn the_word_of_an_older_zygote_is_understood() {
        let said = serde_json::from_str(r#"{"Demand":{"pool":1,"waiting":2}}"#).unwrap();
        assert_eq!(ToSupervisor::Demand { pool: 1, waiting: 2 }, said);
    }
}
