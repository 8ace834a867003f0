//! The tokens of the grammar, with the names that syntax errors give them.

/// A token of the grammar, with its text where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    End,
    SectionStart,
    Raw(Vec<u8>),
    Constant(Vec<u8>),
    Number(Vec<u8>),
    Text(Vec<u8>),
    Blank(Vec<u8>),
    Label(Vec<u8>),
    Offset(Vec<u8>),
    VariableStart,
    VariableName(Vec<u8>),
    Fallback,
    Quoted(Vec<u8>),
    True,
    False,
    Null,
    EndOfLine,
    Mark(u8),
}

impl Token {
    /// The name in a syntax error.
    pub(super) fn name(&self) -> String {
        let name = match self {
            Token::End => "end of file",
            Token::SectionStart => "TC_SECTION",
            Token::Raw(_) => "TC_RAW",
            Token::Constant(_) => "TC_CONSTANT",
            Token::Number(_) => "TC_NUMBER",
            Token::Text(_) => "TC_STRING",
            Token::Blank(_) => "TC_WHITESPACE",
            Token::Label(_) => "TC_LABEL",
            Token::Offset(_) => "TC_OFFSET",
            Token::VariableStart => "TC_DOLLAR_CURLY",
            Token::VariableName(_) => "TC_VARNAME",
            Token::Fallback => "TC_FALLBACK",
            Token::Quoted(_) => "TC_QUOTED_STRING",
            Token::True => "BOOL_TRUE",
            Token::False => "BOOL_FALSE",
            Token::Null => "NULL_NULL",
            Token::EndOfLine => "END_OF_LINE",
            Token::Mark(mark) => return format!("'{}'", char::from(*mark)),
        };
        name.to_owned()
    }
}
