//! What supervisor and base zygotes send to each other. Descriptors travel beside an order, reports have none.

use serde::{Deserialize, Serialize};

use crate::config::EngineKey;
use crate::engine::EngineOptions;
use crate::log::{Format, Level};
use crate::sys::ids::Identity;

/// Everything that a base zygote needs, in a memfd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseSpec {
    /// The number of the generation that it was started for, for its title.
    pub generation: u32,
    /// Who to become before extensions are loaded; `None`: stay, since the supervisor is not root.
    pub identity: Option<Identity>,
    /// The name of that user, for messages.
    pub user: String,
    /// What its groups' pools say about php.ini.
    #[serde(default)]
    pub own: EngineKey,
    /// How to start PHP.
    pub engine: EngineOptions,
    /// The version of the protocol that supervisor and program have in common; `None`: that of the supervisor.
    #[serde(default)]
    pub protocol: Option<u32>,
    /// The receiving end of its orders.
    pub orders_fd: i32,
    /// The pipe for its reports.
    pub reports_fd: i32,
    /// `log_level`.
    pub log_level: Level,
    /// `log_format`.
    #[serde(default)]
    pub log_format: Format,
}

/// Supervisor to base zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToBase {
    /// Fork a zygote. Descriptors: its specification (a memfd), its stdout and stderr (one pipe), then those that the
    /// specification names by their index among these.
    Fork {
        /// The number of the request.
        request: u64,
        /// Who the zygote becomes; `None`: it keeps the base's user.
        identity: Option<Identity>,
        /// The name of that user, for messages.
        user: String,
    },
}

/// Base zygote to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromBase {
    /// The first message.
    Hello {
        /// `PROTOCOL` of its program.
        protocol: u32,
    },
    /// PHP has started, and zygotes can be forked. Each of them copies that many bytes.
    Fit {
        /// Bytes of shared memory with content.
        bytes: usize,
    },
    /// No zygote can be forked from it, for this reason; it exits.
    Unfit(String),
    /// A zygote was forked.
    Forked {
        /// The number of the request.
        request: u64,
        /// Its pid.
        pid: i32,
    },
    /// fork() failed with that errno.
    ForkFailed {
        /// The number of the request.
        request: u64,
        /// The error number.
        errno: i32,
    },
}

impl FromBase {
    /// Encodes the message as a packet.
    #[must_use]
    pub(crate) fn packet(&self) -> Vec<u8> {
        /// A reason is cut to this length. Each character takes at most six bytes in a packet.
        const LONGEST_REASON: usize = 500;
        let mut short = self.clone();
        if let Self::Unfit(reason) = &mut short {
            reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
        }
        serde_json::to_vec(&short).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::packets::LONGEST;

    #[test]
    fn each_message_fits_a_packet() {
        for text in ["\u{1}".repeat(9000), "x".to_owned(), "\u{20ac}".repeat(9000)] {
            let packet = FromBase::Unfit(text.clone()).packet();
            assert!(packet.len() <= LONGEST, "{}", packet.len());
            let Ok(FromBase::Unfit(reason)) = serde_json::from_slice(&packet) else { panic!("no reason") };
            assert!(text.starts_with(&reason) && !reason.is_empty());
        }
        let forked = FromBase::Forked { request: u64::MAX, pid: i32::MIN };
        assert_eq!(serde_json::from_slice::<FromBase>(&forked.packet()).unwrap(), forked);
    }
}
