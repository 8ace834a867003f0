//! Makes up bodies of forms, for comparisons of readers: mostly valid, with the odd parts that readers treat differently.

mod multipart;
mod urlencoded;

pub use multipart::multipart;
pub use urlencoded::urlencoded;

/// A sequence of numbers that a seed determines (SplitMix64).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.any() % end.max(1)
    }

    /// True once in `times` times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of some texts.
    pub fn one<'a>(&mut self, of: &[&'a [u8]]) -> &'a [u8] {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        of.get(at).copied().unwrap_or_default()
    }
}

const NAMES: &[&[u8]] = &[
    b"a",
    b"b",
    b"a",
    b"field",
    b"GLOBALS",
    b"this",
    b"__Host-a",
    b"__Secure-b",
    b"0",
    b"1",
    b"-1",
    b"-0",
    b"007",
    b"12",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"1e3",
    b"a.b",
    b"c+d",
    b"_",
    b"\xc3\xa4",
    b"MAX_FILE_SIZE",
];
const NAME_PARTS: &[&[u8]] = &[
    b"[",
    b"]",
    b"[]",
    b"[a]",
    b"[b]",
    b"[0]",
    b"[1]",
    b"[-3]",
    b"[9223372036854775807]",
    b"[ ]",
    b"[+]",
    b"[\t]",
    b"[a",
    b"a]",
    b"[[",
    b"]]",
    b"][",
    b"[][]",
    b".",
    b"+",
    b"%20",
    b"%5B",
    b"%5d",
    b"%5B%5D",
    b"%00",
    b"%",
    b"%4",
    b"%zz",
    b"%2",
    b"%26",
    b"%3D",
    b"a",
    b"b",
    b"1",
    b"\0",
    b"\xff",
    b"'",
    b"\"",
    b"\\",
    b"_ _Host-",
    b".Host-",
    b"+_Host-",
    b"[__Host-a]",
];
/// Replaces, removes or inserts some bytes.
fn spoil(numbers: &mut Numbers, body: &mut Vec<u8>) {
    for _ in 0..=numbers.below(3) {
        let at = usize::try_from(numbers.below(body.len() as u64 + 1)).unwrap_or(0);
        let byte = numbers.any().to_ne_bytes()[0];
        match (numbers.below(4), at < body.len()) {
            (0, true) => drop(body.remove(at)),
            (1, true) => body.truncate(at),
            (2, true) => {
                if let Some(place) = body.get_mut(at) {
                    *place = byte;
                }
            }
            _ => body.insert(at, byte),
        }
    }
}
