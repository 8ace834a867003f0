//! Properties of every message from another process. Compiled for the property tests and the fuzz targets only.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::trace::{self, Packet};
use super::{
    CONTROL_LONGEST, CommandResults, ControlAnswer, ControlRequest, ToSupervisor, ToWorker, ToZygote, WorkerSays,
    ZygoteSpec,
};
use crate::sys::packets::LONGEST;

/// Decodes bytes as a message of the kind that `kind` selects.
///
/// # Panics
/// When a message that is understood is another one after it was encoded, or doesn't fit into a packet.
pub fn messages(kind: u8, bytes: &[u8]) {
    match kind % 7 {
        0 => to_supervisor(bytes),
        1 => drop(again::<WorkerSays>(bytes)),
        2 => drop(again::<ToZygote>(bytes)),
        3 => drop(again::<ToWorker>(bytes)),
        4 => drop(again::<ZygoteSpec>(bytes)),
        5 => drop(again::<CommandResults>(bytes)),
        _ => trace_packets(bytes),
    }
}

/// Reads bytes as a command's request on the control socket, and as an answer.
///
/// # Panics
/// When a request is another one after it was encoded, or an answer does not come through a message.
pub fn control(bytes: &[u8]) {
    if let Ok(request) = ControlRequest::read(bytes) {
        assert_eq!(again::<ControlRequest>(bytes), Some(request));
    }
    if let Ok(answer) = ControlAnswer::read(bytes, None)
        && let Ok((message, memory)) = answer.packet()
    {
        assert!(message.len() <= CONTROL_LONGEST);
        assert_eq!(ControlAnswer::read(&message, memory).ok(), Some(answer));
    }
}

/// A zygote's message is the same after encoding and decoding, or its text is cut.
fn to_supervisor(bytes: &[u8]) {
    let Some(message) = again::<ToSupervisor>(bytes) else { return };
    let packet = message.packet();
    assert!(packet.len() <= LONGEST, "{} bytes", packet.len());
    let cut: ToSupervisor = serde_json::from_slice(&packet).unwrap_or_else(|e| panic!("{message:?}: {e}"));
    assert_eq!(cut.place(), message.place());
    let whole = serde_json::to_vec(&message).unwrap_or_default();
    assert!(whole.len() > LONGEST || cut == message, "{message:?} was cut");
}

/// The message, if the bytes are one.
fn again<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let message: T = serde_json::from_slice(bytes).ok()?;
    let text = serde_json::to_vec(&message).unwrap_or_else(|e| panic!("{message:?} can't be encoded: {e}"));
    let back: T = serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{message:?} can't be decoded: {e}"));
    assert_eq!(back, message);
    Some(message)
}

/// An answer of a tracer, taken apart and put together; and the bytes as a packet.
fn trace_packets(bytes: &[u8]) {
    if let Some((_, text)) = trace::open(bytes) {
        assert_eq!(text.len() + 1, bytes.len());
    }
    let mut joined = Vec::new();
    let mut ended = false;
    for packet in trace::packets(bytes, true) {
        assert!(!ended && packet.len() <= LONGEST);
        let (kind, text) = trace::open(&packet).unwrap_or((Packet::Failed, b""));
        joined.extend_from_slice(text);
        ended = kind == Packet::Last;
    }
    assert!(ended && joined == bytes.get(..trace::MOST).unwrap_or(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_comes(kind: u8, bytes in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..200)) {
            messages(kind, &bytes);
        }

        #[test]
        fn a_text_of_any_characters(text in "\\PC{0,3000}", code: i32, pool: usize, slot: u32) {
            let texts = [
                ToSupervisor::Failed(text.clone()),
                ToSupervisor::Worker { pool, slot, says: WorkerSays::Failed(text) },
                ToSupervisor::ForkFailed { pool, slot, errno: code },
            ];
            for message in texts {
                messages(0, &serde_json::to_vec(&message).unwrap());
            }
        }
    }
}
