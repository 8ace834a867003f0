//! One line to tokens. As in every longest-match scanner, the first of the longest patterns of a state wins.

use super::matchers as m;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Value,
    Section,
    Offset,
    Quotes,
    Variable,
    Fallback,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    SectionStart,
    OffsetStart,
    True,
    False,
    Null,
    Label,
    Assign,
    StrayToken,
    Skip,
    LineEnd,
    Comment,
    End,
    Raw,
    VariableStart,
    VariableName,
    VariableEnd,
    FallbackStart,
    Constant,
    Number,
    Operator,
    StrayAssign,
    Text,
    QuoteOpen,
    QuoteClose,
    QuotedText,
    Blank,
    ValueEnd,
    SectionEnd,
    OffsetEnd,
}

type Pattern = (Rule, fn(&[u8]) -> usize);

const START: &[Pattern] = &[
    (Rule::SectionStart, m::section_start),
    (Rule::OffsetStart, m::offset_start),
    (Rule::True, m::truth),
    (Rule::False, m::falsehood),
    (Rule::Null, m::null),
    (Rule::Label, m::label),
    (Rule::Assign, m::assign),
    (Rule::StrayToken, m::stray_token),
    (Rule::Skip, m::blanks),
    (Rule::LineEnd, m::line_end),
    (Rule::Comment, m::comment),
    (Rule::End, m::any),
];

const VALUE: &[Pattern] = &[
    (Rule::Raw, m::raw_string),
    (Rule::VariableStart, m::variable_start),
    (Rule::True, m::truth),
    (Rule::False, m::falsehood),
    (Rule::Null, m::null),
    (Rule::LineEnd, m::line_end),
    (Rule::Constant, m::constant),
    (Rule::Number, m::number),
    (Rule::Operator, m::operator),
    (Rule::StrayAssign, m::stray_assign),
    (Rule::Text, m::value_text),
    (Rule::QuoteOpen, m::quote_open),
    (Rule::Blank, m::blanks),
    (Rule::Comment, m::comment),
    (Rule::ValueEnd, m::any),
];

const SECTION: &[Pattern] = &[
    (Rule::Raw, m::raw_string),
    (Rule::SectionEnd, m::section_end),
    (Rule::VariableStart, m::variable_start),
    (Rule::Constant, m::constant),
    (Rule::Number, m::number),
    (Rule::Text, m::key_text),
    (Rule::QuoteOpen, m::quote_open),
    (Rule::Blank, m::blanks),
    (Rule::End, m::any),
];

const OFFSET: &[Pattern] = &[
    (Rule::Raw, m::raw_string),
    (Rule::OffsetEnd, m::offset_end),
    (Rule::VariableStart, m::variable_start),
    (Rule::Constant, m::constant),
    (Rule::Number, m::number),
    (Rule::Text, m::key_text),
    (Rule::QuoteOpen, m::quote_open),
    (Rule::Blank, m::blanks),
    (Rule::End, m::any),
];

const QUOTES: &[Pattern] =
    &[(Rule::VariableStart, m::variable_start), (Rule::QuoteClose, m::quote_close), (Rule::QuotedText, m::any)];

const VARIABLE: &[Pattern] = &[
    (Rule::FallbackStart, m::fallback_start),
    (Rule::VariableName, m::variable_name),
    (Rule::VariableEnd, m::variable_end),
    (Rule::End, m::any),
];

const FALLBACK: &[Pattern] = &[
    (Rule::VariableStart, m::variable_start),
    (Rule::VariableEnd, m::variable_end),
    (Rule::Constant, m::constant),
    (Rule::Number, m::number),
    (Rule::Text, m::fallback_text),
    (Rule::QuoteOpen, m::quote_open),
    (Rule::Blank, m::blanks),
    (Rule::End, m::any),
];

/// Reads tokens from one line.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    /// A NUL byte ends the text, though a pattern that has begun before it may run past it.
    limit: usize,
    at: usize,
    state: State,
    outer: Vec<State>,
    line: u32,
}

impl<'a> Scanner<'a> {
    /// Begins at the start of `text`, which ends in a newline.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let limit = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        let at = if limit > 3 && text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { text, limit, at, state: State::Start, outer: Vec::new(), line: 1 }
    }

    /// Zend's line number, which counts within the text given.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// The next token; after the last one `End` for ever.
    pub(super) fn next(&mut self) -> Token {
        loop {
            if self.at >= self.limit {
                if self.state == State::Value {
                    self.state = State::Start;
                    return Token::EndOfLine;
                }
                return Token::End;
            }
            let (rule, len) = self.longest();
            let from = self.at;
            self.at += len;
            if !matches!(rule, Rule::Skip) {
                return self.act(rule, from);
            }
        }
    }

    fn longest(&self) -> (Rule, usize) {
        let patterns = match self.state {
            State::Start => START,
            State::Value => VALUE,
            State::Section => SECTION,
            State::Offset => OFFSET,
            State::Quotes => QUOTES,
            State::Variable => VARIABLE,
            State::Fallback => FALLBACK,
        };
        let mut best = (Rule::End, 0);
        for (rule, pattern) in patterns {
            let len = pattern(&self.text[self.at..]);
            if len > best.1 {
                best = (*rule, len);
            }
        }
        best
    }

    fn act(&mut self, rule: Rule, from: usize) -> Token {
        let text = &self.text[from..self.at];
        match rule {
            Rule::True => Token::True,
            Rule::False => Token::False,
            Rule::Null => Token::Null,
            Rule::Label => Token::Label(trimmed(text).to_vec()),
            Rule::VariableName => Token::VariableName(trimmed(text).to_vec()),
            Rule::Raw => Token::Raw(text[1..text.len() - 1].to_vec()),
            Rule::Constant => Token::Constant(text.to_vec()),
            Rule::Number => Token::Number(text.to_vec()),
            Rule::Text => Token::Text(text.to_vec()),
            Rule::Blank => Token::Blank(text.to_vec()),
            Rule::StrayToken | Rule::Operator => Token::Mark(text[0]),
            Rule::QuotedText => self.quoted(from),
            Rule::Skip | Rule::End => Token::End,
            _ => self.switch(rule, from),
        }
    }

    /// The rules that change the state.
    fn switch(&mut self, rule: Rule, from: usize) -> Token {
        let (state, token) = match rule {
            Rule::SectionStart => (State::Section, Token::SectionStart),
            Rule::OffsetStart => {
                let name = trimmed(&self.text[from..self.at]);
                let name = name.strip_suffix(b"[").unwrap_or(name);
                (State::Offset, Token::Offset(trimmed(name).to_vec()))
            }
            Rule::Assign => (State::Value, Token::Mark(b'=')),
            Rule::SectionEnd => {
                self.line += 1;
                (State::Start, Token::Mark(b']'))
            }
            Rule::OffsetEnd => (State::Start, Token::Mark(b']')),
            Rule::StrayAssign => {
                self.at = from;
                (State::Start, Token::EndOfLine)
            }
            Rule::VariableStart => return self.enter(State::Variable, Token::VariableStart),
            Rule::QuoteOpen => return self.enter(State::Quotes, Token::Mark(b'"')),
            Rule::FallbackStart => (State::Fallback, Token::Fallback),
            Rule::VariableEnd => (self.outer.pop().unwrap_or(State::Start), Token::Mark(b'}')),
            Rule::QuoteClose => (self.outer.pop().unwrap_or(State::Start), Token::Mark(b'"')),
            Rule::LineEnd | Rule::Comment => {
                self.line += 1;
                (State::Start, Token::EndOfLine)
            }
            _ => (State::Start, Token::EndOfLine),
        };
        self.state = state;
        token
    }

    fn enter(&mut self, state: State, token: Token) -> Token {
        self.outer.push(self.state);
        self.state = state;
        token
    }

    /// The text of a quoted string up to its end or to a `${`.
    fn quoted(&mut self, from: usize) -> Token {
        let mut at = from;
        while at < self.limit {
            match self.text[at] {
                b'"' => break,
                b'$' if at + 1 < self.limit && self.text[at + 1] == b'{' => break,
                b'\\' if at + 1 < self.limit => {
                    // A backslash before the last quote of the line is text: key="C:\path\"
                    let last = at + 2 >= self.limit || matches!(self.text[at + 2], b'\n' | b'\r');
                    if self.text[at + 1] == b'"' && last {
                        at += 1;
                        break;
                    }
                    at += 2;
                }
                _ => at += 1,
            }
        }
        self.at = at;
        let text = &self.text[from..at];
        let ends = text
            .iter()
            .enumerate()
            .filter(|(at, byte)| **byte == b'\n' || (**byte == b'\r' && text.get(at + 1) != Some(&b'\n')));
        self.line += u32::try_from(ends.count()).unwrap_or(0);
        Token::Quoted(unescape(text))
    }
}

/// Without blanks and line ends around it.
fn trimmed(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| b" \t\r\n".contains(byte);
    let from = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let to = text.iter().rposition(|byte| !blank(byte)).map_or(from, |last| last + 1);
    &text[from..to]
}

/// Takes the backslash from `\"`, `\\` and `\$`; all others stay.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            match bytes.next() {
                Some(next @ (b'"' | b'\\' | b'$')) => plain.push(next),
                Some(next) => plain.extend([b'\\', next]),
                None => plain.push(b'\\'),
            }
        } else {
            plain.push(byte);
        }
    }
    plain
}
