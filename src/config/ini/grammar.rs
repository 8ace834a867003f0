//! Tokens of one line to statements: Zend's ini grammar, with its operators, variables and syntax errors.

use std::borrow::Cow;

use super::scanner::Scanner;
use super::statement::{Line, Names, NoNames, Statement, SyntaxError};
use super::token::Token;
use crate::text::atoi;

/// Reads one line, which must end in a newline.
pub(crate) fn parse_line(text: &[u8], names: &dyn Names) -> Line {
    let mut parser = Parser::new(text, names);
    let mut line = Line::default();
    loop {
        match parser.statement() {
            Ok(Some(statement)) => line.statements.extend(statement),
            Ok(None) => return line,
            Err(error) => {
                line.error = Some(error);
                return line;
            }
        }
    }
}

/// The syntax error of a whole file such as php.ini, if it has one.
pub(crate) fn syntax_error(text: &[u8]) -> Option<SyntaxError> {
    let text = if text.ends_with(b"\n") { Cow::Borrowed(text) } else { Cow::Owned([text, b"\n"].concat()) };
    // Values do not matter for the syntax.
    let mut parser = Parser::new(&text, &NoNames);
    loop {
        let read = parser.statement();
        if let Some(line) = parser.scanner.open_quote() {
            return Some(SyntaxError { what: "syntax error, unexpected ', which is not closed".to_owned(), line });
        }
        match read {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(mut error) => {
                // Zend has counted this end of a line.
                error.line -= u32::from(error.line > 1 && error.what.contains("unexpected END_OF_LINE"));
                return Some(error);
            }
        }
    }
}

/// Limit for the nesting of parentheses, prefix operators and fallbacks.
const MAX_DEPTH: u32 = 500;

const IN_QUOTES: &str = ", expecting TC_DOLLAR_CURLY or TC_QUOTED_STRING or '\"'";
const IN_PARENTHESES: &str = ", expecting '^' or '|' or '&' or ')'";

struct Parser<'a> {
    scanner: Scanner<'a>,
    ahead: Option<Token>,
    names: &'a dyn Names,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8], names: &'a dyn Names) -> Self {
        Self { scanner: Scanner::new(text), ahead: None, names, depth: 0 }
    }

    fn peek(&mut self) -> &Token {
        self.ahead.get_or_insert_with(|| self.scanner.next())
    }

    fn take(&mut self) -> Token {
        self.ahead.take().unwrap_or_else(|| self.scanner.next())
    }

    fn unexpected(&self, token: &Token, expecting: &str) -> SyntaxError {
        self.error(&format!("syntax error, unexpected {}{expecting}", token.name()))
    }

    fn error(&self, text: &str) -> SyntaxError {
        SyntaxError { what: text.to_owned(), line: self.scanner.line() }
    }

    fn expect(&mut self, mark: u8, expecting: &str) -> Result<(), SyntaxError> {
        match self.take() {
            Token::Mark(found) if found == mark => Ok(()),
            other => Err(self.unexpected(&other, expecting)),
        }
    }

    /// The next statement: `Some(None)` is an empty one, `None` the end of the text.
    fn statement(&mut self) -> Result<Option<Option<Statement>>, SyntaxError> {
        let statement = match self.take() {
            Token::End => return Ok(None),
            Token::EndOfLine => None,
            Token::SectionStart => {
                let name = self.text(false)?.unwrap_or_default();
                self.expect(b']', ", expecting ']'")?;
                Some(Statement::Section(name))
            }
            Token::Label(name) => {
                let value = if *self.peek() == Token::Mark(b'=') {
                    self.take();
                    Some(self.value()?)
                } else {
                    None
                };
                Some(Statement::Entry { name: until_nul(name), value })
            }
            Token::Offset(name) => {
                // Constants in keys are not replaced, though Zend does: env[LC_ALL] means LC_ALL.
                let key = self.text(false)?.unwrap_or_default();
                self.expect(b']', ", expecting ']'")?;
                self.expect(b'=', ", expecting '='")?;
                let value = self.value()?;
                Some(Statement::Array { name: until_nul(name), key, value })
            }
            other => return Err(self.unexpected(&other, "")),
        };
        Ok(Some(statement))
    }

    fn value(&mut self) -> Result<Vec<u8>, SyntaxError> {
        let value = match self.peek() {
            Token::True => b"1".to_vec(),
            Token::False | Token::Null | Token::EndOfLine => Vec::new(),
            _ => return self.expression().map(until_nul),
        };
        self.take();
        Ok(value)
    }

    /// Operands joined by `|`, `&` and `^`, which bind alike and from the left.
    fn expression(&mut self) -> Result<Vec<u8>, SyntaxError> {
        let mut left = self.operand()?;
        while let Token::Mark(operator @ (b'|' | b'&' | b'^')) = *self.peek() {
            self.take();
            let (a, b) = (atoi(&left), atoi(&self.operand()?));
            let result = match operator {
                b'|' => a | b,
                b'&' => a & b,
                _ => a ^ b,
            };
            left = result.to_string().into_bytes();
        }
        Ok(left)
    }

    /// One level deeper, if that isn't too deep.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>) -> Result<T, SyntaxError> {
        if self.depth > MAX_DEPTH {
            return Err(self.error("memory exhausted"));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn operand(&mut self) -> Result<Vec<u8>, SyntaxError> {
        self.nested(Self::one_operand)
    }

    fn one_operand(&mut self) -> Result<Vec<u8>, SyntaxError> {
        match *self.peek() {
            Token::Mark(b'~') => {
                self.take();
                Ok((!atoi(&self.operand()?)).to_string().into_bytes())
            }
            Token::Mark(b'!') => {
                self.take();
                Ok(i32::from(atoi(&self.operand()?) == 0).to_string().into_bytes())
            }
            Token::Mark(b'(') => {
                self.take();
                let inner = self.expression()?;
                self.expect(b')', IN_PARENTHESES)?;
                Ok(inner)
            }
            _ => match self.text(true)? {
                Some(text) => Ok(text),
                None => {
                    let token = self.take();
                    Err(self.unexpected(&token, ""))
                }
            },
        }
    }

    /// Pieces of text side by side; `None` when there isn't any.
    fn text(&mut self, constants: bool) -> Result<Option<Vec<u8>>, SyntaxError> {
        let mut whole: Option<Vec<u8>> = None;
        loop {
            let piece = match self.peek() {
                Token::VariableStart => self.variable()?,
                Token::Mark(b'"') => self.quoted()?,
                Token::Constant(_) | Token::Raw(_) | Token::Number(_) | Token::Text(_) | Token::Blank(_) => {
                    match self.take() {
                        Token::Constant(name) if constants => self.constant(name),
                        Token::Constant(text)
                        | Token::Raw(text)
                        | Token::Number(text)
                        | Token::Text(text)
                        | Token::Blank(text) => text,
                        _ => Vec::new(),
                    }
                }
                _ => return Ok(whole.map(until_nul)),
            };
            whole.get_or_insert_default().extend(piece);
        }
    }

    fn quoted(&mut self) -> Result<Vec<u8>, SyntaxError> {
        self.take();
        let mut text = Vec::new();
        loop {
            match self.peek() {
                Token::VariableStart => text.extend(self.variable()?),
                Token::Quoted(_) => {
                    if let Token::Quoted(piece) = self.take() {
                        text.extend(piece);
                    }
                }
                _ => {
                    self.expect(b'"', IN_QUOTES)?;
                    return Ok(text);
                }
            }
        }
    }

    /// `${name}` or `${name:-value if not set}`.
    fn variable(&mut self) -> Result<Vec<u8>, SyntaxError> {
        self.take();
        let name = match self.take() {
            Token::VariableName(name) => until_nul(name),
            other => return Err(self.unexpected(&other, ", expecting TC_VARNAME")),
        };
        let (fallback, expecting) = if *self.peek() == Token::Fallback {
            self.take();
            (self.nested(|parser| parser.text(true))?, ", expecting '}'")
        } else {
            (None, ", expecting TC_FALLBACK or '}'")
        };
        self.expect(b'}', expecting)?;
        let value = self.names.variable(&String::from_utf8_lossy(&name));
        Ok(value.or(fallback).unwrap_or_default())
    }

    fn constant(&self, name: Vec<u8>) -> Vec<u8> {
        let value = std::str::from_utf8(&name).ok().and_then(|name| self.names.constant(name));
        value.map_or(name, String::into_bytes)
    }
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(end) = text.iter().position(|byte| *byte == 0) {
        text.truncate(end);
    }
    text
}
