//! What an answer must be.

use testkit::{Outcome, ensure};

/// The expected content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// Byte for byte.
    Exact(Vec<u8>),
    /// The same after each number is replaced: a status page counts and has times.
    WithoutNumbers(String),
}

impl Check {
    /// That answers equal this one.
    pub(crate) fn like(answer: &[u8], has_numbers: bool) -> Self {
        if has_numbers { Self::WithoutNumbers(without_numbers(answer)) } else { Self::Exact(answer.to_vec()) }
    }

    /// Whether the content is the expected one.
    ///
    /// # Errors
    /// Otherwise, with the beginning of both.
    pub(crate) fn expect(&self, content: &[u8]) -> Outcome {
        let (same, wanted) = match self {
            Self::Exact(wanted) => (content == wanted, String::from_utf8_lossy(wanted).into_owned()),
            Self::WithoutNumbers(wanted) => (without_numbers(content) == *wanted, wanted.clone()),
        };
        ensure!(same, "{:.400?} in place of {wanted:.400?}", String::from_utf8_lossy(content));
        Ok(())
    }
}

/// Each number becomes `#`, and a number with blanks before it loses them: columns are padded.
fn without_numbers(text: &[u8]) -> String {
    let mut result = String::new();
    for letter in String::from_utf8_lossy(text).chars() {
        if !letter.is_ascii_digit() {
            result.push(letter);
        } else if !result.ends_with('#') {
            result.truncate(result.trim_end_matches(' ').len());
            result.push('#');
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_exactly_or_without_numbers() {
        assert!(Check::like(b"hello", false).expect(b"hello").is_ok());
        assert!(Check::like(b"hello", false).expect(b"hellO").is_err());
        let status = Check::like(b"start since:          7\nidle:  1\n", true);
        assert!(status.expect(b"start since:         12\nidle:  0\n").is_ok());
        assert!(status.expect(b"start since:         12\nbusy:  0\n").is_err());
    }
}
