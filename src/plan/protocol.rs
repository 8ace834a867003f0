//! The rules of the conversation between supervisor and zygote: the zygote first says which version of the protocol it speaks, once,
//! and names only slots that it has. One that breaks them is killed.

/// The kind of a message, as far as the rules distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// `Hello` with a version.
    Hello(u32),
    /// Any other one.
    Other {
        /// It names no slot for a worker, or one that there is.
        slot_exists: bool,
    },
}

/// A broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breach {
    /// Another version.
    OtherVersion {
        /// The zygote's.
        theirs: u32,
        /// The supervisor's.
        ours: u32,
    },
    /// No `Hello` at the beginning.
    NoHello,
    /// A second `Hello`.
    SecondHello,
    /// A slot that the zygote does not have.
    NoSuchSlot,
}

impl Breach {
    /// The error, as the text after `zygote PID`.
    #[must_use]
    pub(crate) fn text(self) -> String {
        match self {
            Self::OtherVersion { theirs, ours } => {
                format!("speaks protocol {theirs}, this supervisor {ours}: reload, so that both are the same program")
            }
            Self::NoHello => "does not say what it speaks".to_owned(),
            Self::SecondHello => "has said a second time what it speaks".to_owned(),
            Self::NoSuchSlot => "names a place for a worker that it does not have".to_owned(),
        }
    }
}

/// Judges a message of a zygote that speaks version `known`, as far as it has said so. Returns the version that it speaks.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn judge(known: Option<u32>, message: Message, ours: u32) -> Result<u32, Breach> {
    match (known, message) {
        (Some(_), Message::Hello(_)) => Err(Breach::SecondHello),
        (Some(_), Message::Other { slot_exists: false }) => Err(Breach::NoSuchSlot),
        (Some(version), Message::Other { slot_exists: true }) => Ok(version),
        (None, Message::Hello(version)) if version == ours => Ok(ours),
        (None, Message::Hello(theirs)) => Err(Breach::OtherVersion { theirs, ours }),
        (None, Message::Other { .. }) => Err(Breach::NoHello),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: Message = Message::Other { slot_exists: true };

    #[test]
    fn hello_comes_first_and_once() {
        assert_eq!(judge(None, Message::Hello(3), 3), Ok(3));
        assert_eq!(judge(None, OTHER, 3), Err(Breach::NoHello));
        assert_eq!(judge(Some(3), Message::Hello(3), 3), Err(Breach::SecondHello));
        assert_eq!(judge(None, Message::Hello(2), 3), Err(Breach::OtherVersion { theirs: 2, ours: 3 }));
    }

    #[test]
    fn a_former_version_is_understood_where_it_is_known() {
        assert_eq!(judge(Some(2), OTHER, 3), Ok(2));
    }

    #[test]
    fn a_zygote_names_its_own_slots_only() {
        assert_eq!(judge(Some(3), Message::Other { slot_exists: false }, 3), Err(Breach::NoSuchSlot));
    }
}
