//! The patterns for each part of a line. The longest match wins; of several, the first.

use super::matchers as m;

/// Where in a line the scanner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Start,
    Value,
    Section,
    Offset,
    Quotes,
    Variable,
    Fallback,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
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

/// A rule and its pattern.
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

/// The first of the longest matches at the start of the rest, which is not empty.
pub(super) fn longest(state: State, rest: &[u8]) -> (Rule, usize) {
    let patterns = match state {
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
        let len = pattern(rest);
        if len > best.1 {
            best = (*rule, len);
        }
    }
    best
}
