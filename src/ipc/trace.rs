//! Messages between the supervisor and a worker's tracer: a question over one pipe, an answer in packets over
//! another.

use crate::sys::packets;

/// The question.
pub(crate) const ASK: &[u8] = b"?";
/// The most text of a packet, in bytes.
pub(crate) const LONGEST: usize = packets::LONGEST - 1;
/// The most text of a whole answer, in bytes.
pub(crate) const MOST: usize = 256 * 1024;

/// The type of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet {
    /// More will follow.
    More = b'+' as isize,
    /// The last one.
    Last = b'.' as isize,
    /// The last one; something could not be read.
    Failed = b'!' as isize,
}

/// The packets of an answer. A text that is too long is cut.
pub(crate) fn packets(text: &[u8], complete: bool) -> impl Iterator<Item = Vec<u8>> {
    let text = text.get(..MOST).unwrap_or(text);
    let last = if complete { Packet::Last } else { Packet::Failed };
    let (head, tail) = text.split_at(text.len().saturating_sub(1) / LONGEST * LONGEST);
    let packet = |kind: Packet, text: &[u8]| [&[kind as u8], text].concat();
    head.chunks(LONGEST).map(move |piece| packet(Packet::More, piece)).chain([packet(last, tail)])
}

/// The kind and text of a packet; `None` if it is no packet.
#[must_use]
pub(crate) fn open(packet: &[u8]) -> Option<(Packet, &[u8])> {
    let (kind, text) = packet.split_first()?;
    let all = [Packet::More, Packet::Last, Packet::Failed];
    all.into_iter().find(|known| *known as u8 == *kind).map(|kind| (kind, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_packets_comes_out_again() {
        for length in [0, 1, LONGEST - 1, LONGEST, LONGEST + 1, 3 * LONGEST, MOST, MOST + 9] {
            let text: Vec<u8> = (0..length).map(|i| i.to_le_bytes()[0]).collect();
            for complete in [true, false] {
                let list: Vec<_> = packets(&text, complete).collect();
                let opened: Vec<_> = list.iter().map(|packet| open(packet).unwrap()).collect();
                assert!(opened.iter().all(|(_, text)| text.len() <= LONGEST));
                let (last, before) = opened.split_last().unwrap();
                assert!(before.iter().all(|(kind, _)| *kind == Packet::More));
                assert_eq!(last.0, if complete { Packet::Last } else { Packet::Failed });
                let joined: Vec<u8> = opened.iter().flat_map(|(_, text)| text.iter().copied()).collect();
                assert_eq!(joined, text[..length.min(MOST)]);
            }
        }
    }

    #[test]
    fn what_is_no_packet_is_none() {
        assert_eq!((open(b""), open(b"x")), (None, None));
    }
}
