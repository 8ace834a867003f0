//! What an epoll event is about, packed into the event's 64 bits of data.
#![forbid(unsafe_code)]

/// The descriptors that a zygote waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventSource {
    /// The supervisor.
    Control,
    /// SIGCHLD, SIGTERM, SIGQUIT.
    Signals,
    /// The queue by which workers of that pool park connections.
    Park(u32),
    /// The hand-over queue of that pool, while its workers drain.
    Queue(u32),
    /// The listening sockets and the hand-over queue of that pool, to notice that it needs another worker.
    Demand(u32),
    /// The links from predecessors of that pool.
    Link(u32),
    /// The control channel of the worker with that pid.
    Worker(u32),
    /// The parked connection with that descriptor number.
    Parked(u32),
}

impl EventSource {
    pub(super) fn pack(self) -> u64 {
        let (kind, value) = match self {
            Self::Control => (0u64, 0),
            Self::Signals => (1, 0),
            Self::Park(v) => (2, v),
            Self::Link(v) => (3, v),
            Self::Worker(v) => (4, v),
            Self::Parked(v) => (5, v),
            Self::Queue(v) => (6, v),
            Self::Demand(v) => (7, v),
        };
        kind << 32 | u64::from(value)
    }

    pub(super) fn unpack(bits: u64) -> Option<Self> {
        let value = u32::try_from(bits & u64::from(u32::MAX)).ok()?;
        Some(match bits >> 32 {
            0 => Self::Control,
            1 => Self::Signals,
            2 => Self::Park(value),
            3 => Self::Link(value),
            4 => Self::Worker(value),
            5 => Self::Parked(value),
            6 => Self::Queue(value),
            7 => Self::Demand(value),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::EventSource;

    #[test]
    fn tokens_survive_packing() {
        for source in [
            EventSource::Control,
            EventSource::Signals,
            EventSource::Park(7),
            EventSource::Link(0),
            EventSource::Worker(u32::MAX),
            EventSource::Parked(64),
            EventSource::Queue(1),
            EventSource::Demand(3),
        ] {
            assert_eq!(EventSource::unpack(source.pack()), Some(source));
        }
        assert_eq!(EventSource::unpack(u64::MAX), None);
    }
}
