//! The eight bytes before every record (FastCGI 1.0, section 3.3).

/// Bytes of a record header.
pub const HEADER_LEN: usize = 8;

/// The most content that one record can carry.
pub const MAX_CONTENT: usize = 0xffff;

/// The largest content that needs no padding.
pub const MAX_ALIGNED_CONTENT: u16 = 0xfff8;

const VERSION: u8 = 1;

/// The type of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the specification")]
pub enum RecordType {
    BeginRequest,
    AbortRequest,
    EndRequest,
    Params,
    Stdin,
    Stdout,
    Stderr,
    Data,
    GetValues,
    GetValuesResult,
    UnknownType,
    /// A type that FastCGI 1.0 doesn't know.
    Other(u8),
}

impl From<u8> for RecordType {
    fn from(byte: u8) -> Self {
        match byte {
            1 => Self::BeginRequest,
            2 => Self::AbortRequest,
            3 => Self::EndRequest,
            4 => Self::Params,
            5 => Self::Stdin,
            6 => Self::Stdout,
            7 => Self::Stderr,
            8 => Self::Data,
            9 => Self::GetValues,
            10 => Self::GetValuesResult,
            11 => Self::UnknownType,
            other => Self::Other(other),
        }
    }
}

impl From<RecordType> for u8 {
    fn from(kind: RecordType) -> Self {
        match kind {
            RecordType::BeginRequest => 1,
            RecordType::AbortRequest => 2,
            RecordType::EndRequest => 3,
            RecordType::Params => 4,
            RecordType::Stdin => 5,
            RecordType::Stdout => 6,
            RecordType::Stderr => 7,
            RecordType::Data => 8,
            RecordType::GetValues => 9,
            RecordType::GetValuesResult => 10,
            RecordType::UnknownType => 11,
            RecordType::Other(other) => other,
        }
    }
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The record's type.
    pub kind: RecordType,
    /// The request that it belongs to; 0 for management records.
    pub id: u16,
    /// Bytes of content.
    pub content: u16,
    /// Bytes of padding after the content.
    pub padding: u8,
}

impl Header {
    /// A header whose padding brings the record to a multiple of eight bytes, as PHP's records are.
    #[must_use]
    pub fn padded(kind: RecordType, id: u16, content: u16) -> Self {
        let [_, low] = content.to_be_bytes();
        Self { kind, id, content, padding: low.wrapping_neg() & 7 }
    }

    /// Reads a header.
    ///
    /// # Errors
    /// The version byte, when it isn't that of FastCGI 1.0.
    pub fn decode(bytes: [u8; HEADER_LEN]) -> Result<Self, u8> {
        let [version, kind, id1, id0, content1, content0, padding, _reserved] = bytes;
        if version != VERSION {
            return Err(version);
        }
        Ok(Self {
            kind: kind.into(),
            id: u16::from_be_bytes([id1, id0]),
            content: u16::from_be_bytes([content1, content0]),
            padding,
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let [id1, id0] = self.id.to_be_bytes();
        let [content1, content0] = self.content.to_be_bytes();
        [VERSION, self.kind.into(), id1, id0, content1, content0, self.padding, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_byte_survives() {
        for byte in 0..=u8::MAX {
            assert_eq!(u8::from(RecordType::from(byte)), byte);
        }
    }

    #[test]
    fn padding_completes_eight() {
        for (content, padding) in [(0, 0), (1, 7), (7, 1), (8, 0), (0xfff8, 0), (0xffff, 1)] {
            assert_eq!(Header::padded(RecordType::Stdout, 1, content).padding, padding);
        }
    }

    #[test]
    fn numbers_are_big_endian() {
        let header = Header { kind: RecordType::Stdin, id: 0x0102, content: 0x0304, padding: 5 };
        assert_eq!(header.encode(), [1, 5, 1, 2, 3, 4, 5, 0]);
        assert_eq!(Header::decode(header.encode()), Ok(header));
    }

    #[test]
    fn another_version_is_refused() {
        assert_eq!(Header::decode([2, 1, 0, 1, 0, 8, 0, 0]), Err(2));
        assert_eq!(Header::decode(*b"GET / HT"), Err(b'G'));
    }
}
