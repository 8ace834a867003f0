//! What a program says about itself in the role `hello`, to a supervisor of perhaps another build.

use serde::{Deserialize, Serialize};

use super::messages::SPOKEN;

/// The answer, one line of JSON on stdout. A reader ignores fields that it does not know; a new meaning needs a new field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Introduction {
    /// The versions of the protocol that it speaks.
    pub protocol: Vec<u32>,
    /// The version of the library.
    pub cgi_fpm: String,
    /// PHP's version.
    pub php: String,
    /// The number of PHP's module API.
    pub api: u32,
    /// PHP is built with thread safety: never true in a program that gets this far.
    #[serde(default)]
    pub zts: bool,
    /// The file of the library.
    #[serde(default)]
    pub library: std::path::PathBuf,
}

impl Introduction {
    /// The highest version that both speak.
    #[must_use]
    pub(crate) fn common(&self) -> Option<u32> {
        self.protocol.iter().copied().filter(|theirs| SPOKEN.contains(theirs)).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_ignored() {
        let said = r#"{"protocol":[1,2,3],"cgi_fpm":"9","php":"8.5.0","api":1,"zts":false,"more":{}}"#;
        let said: Introduction = serde_json::from_str(said).unwrap();
        assert_eq!(said.common(), Some(2));
        assert_eq!(Introduction { protocol: vec![1, 9], ..said }.common(), None);
    }
}
