//! What commands ask over the supervisor's control socket, and what it answers. A command connects, sends one message and gets one. Only
//! root and the supervisor's own user are heard.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::sys::shared;

/// The longest message, in bytes.
pub(crate) const LONGEST: usize = 64 * 1024;
/// A longer answer is in a memfd beside a message that says nothing.
const INLINE: usize = 32 * 1024;
const IN_MEMORY: &[u8] = b"null";

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ControlRequest {
    /// Each worker of these pools is to forget what it has cached about files, before its next request.
    ClearFileCaches {
        /// Names of pools and groups; without any, all.
        #[serde(default)]
        pools: BTreeSet<String>,
    },
    /// These groups are to get new processes, and so an empty opcode cache. The answer comes when they serve.
    Renew {
        /// Names of pools and groups; without any, all.
        #[serde(default)]
        pools: BTreeSet<String>,
    },
}

impl ControlRequest {
    /// Reads a message.
    ///
    /// # Errors
    /// It is no request of this version.
    pub(crate) fn read(message: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(message)
    }

    /// The pools and groups that it names; without any, all.
    #[must_use]
    pub(crate) fn pools(&self) -> &BTreeSet<String> {
        match self {
            Self::ClearFileCaches { pools } | Self::Renew { pools } => pools,
        }
    }
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ControlAnswer {
    /// Nothing was done, for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The groups that were asked for.
    #[serde(default)]
    pub groups: Vec<GroupAnswer>,
}

/// What became of the request in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupAnswer {
    /// Its name.
    pub group: String,
    /// Its pools that were asked for.
    pub pools: Vec<String>,
    /// The result.
    pub result: GroupResult,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GroupResult {
    /// It is done.
    Done,
    /// The group sleeps: it has no process until a connection comes.
    Asleep,
    /// It failed, for this reason.
    Failed(String),
}

impl ControlAnswer {
    /// Nothing is done, for this reason.
    #[must_use]
    pub(crate) fn refusal(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), groups: Vec::new() }
    }

    /// A message, and the memory that has the rest of a long one.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub(crate) fn packet(&self) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let bytes = serde_json::to_vec(self)?;
        if bytes.len() <= INLINE {
            return Ok((bytes, None));
        }
        Ok((IN_MEMORY.to_vec(), Some(shared::file_of("cgi-fpm-answer", &bytes)?)))
    }

    /// Reads a message with its descriptor.
    ///
    /// # Errors
    /// It is no answer.
    pub(crate) fn read(message: &[u8], memory: Option<OwnedFd>) -> io::Result<Self> {
        match memory {
            Some(memory) if message == IN_MEMORY => Ok(serde_json::from_slice(&shared::content_of(memory)?)?),
            _ => Ok(serde_json::from_slice(message)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_strictly() {
        let read = |text: &str| ControlRequest::read(text.as_bytes()).ok();
        let all = BTreeSet::new;
        assert_eq!(read(r#"{"clear_file_caches":{}}"#), Some(ControlRequest::ClearFileCaches { pools: all() }));
        let a = BTreeSet::from(["a".to_owned()]);
        assert_eq!(read(r#"{"renew":{"pools":["a"]}}"#), Some(ControlRequest::Renew { pools: a }));
        for wrong in ["", "null", "{}", "[]", r#"{"renew":{"pool":"a"}}"#, r#"{"renew":{}} x"#, r#"{"dance":{}}"#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_long_answer_is_in_a_memory() {
        let answer = |count| {
            let one = |n| GroupAnswer { group: format!("g{n}"), pools: Vec::new(), result: GroupResult::Asleep };
            ControlAnswer { error: None, groups: (0..count).map(one).collect() }
        };
        for (count, in_memory) in [(1, false), (5000, true)] {
            let (message, memory) = answer(count).packet().unwrap();
            assert_eq!(memory.is_some(), in_memory);
            assert_eq!(ControlAnswer::read(&message, memory).unwrap(), answer(count));
        }
        assert!(ControlAnswer::read(b"null", None).is_err());
    }
}
