//! One line to tokens.

use super::rules::{Rule, State, longest};
use super::token::Token;

/// Reads tokens from one line.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    /// A NUL byte ends the text, but a pattern that starts before it may match past it.
    limit: usize,
    at: usize,
    state: State,
    outer: Vec<State>,
    line: u32,
    /// Where a single quote opens that is not closed in the rest of the text.
    open_quote: Option<u32>,
}

impl<'a> Scanner<'a> {
    /// Starts at the start of `text`, which ends in a newline.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let limit = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        let at = if limit > 3 && text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { text, limit, at, state: State::Start, outer: Vec::new(), line: 1, open_quote: None }
    }

    /// Zend's line number, which counts within the text given.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// The line of the first single quote that is not closed. Zend's scanner then reads past the end of the file.
    pub(super) fn open_quote(&self) -> Option<u32> {
        self.open_quote
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
            let (rule, len) = longest(self.state, &self.text[self.at..]);
            let from = self.at;
            self.at += len;
            if !matches!(rule, Rule::Skip) {
                return self.act(rule, from);
            }
        }
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
            _ => {
                let rest = &self.text[from..self.limit];
                if rest.len() > 1 && rest[0] == b'\'' && !rest[1..].contains(&b'\'') {
                    self.open_quote.get_or_insert(self.line);
                }
                (State::Start, Token::EndOfLine)
            }
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
