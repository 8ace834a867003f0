//! `access.format`, parsed into the parts of a line. Placeholders and error texts are php-fpm's, except for JSON and `%i`.

use std::ffi::CString;

use serde::Serialize;

/// Longest text between braces, in bytes; the rest is ignored, as in php-fpm.
const MAX_MODIFIER: usize = 128;

/// The date format of `%t` and `%T` without braces.
const USUAL_DATE: &[u8] = b"%d/%b/%Y:%H:%M:%S %z";

/// A valid format. In JSON it is its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Format {
    /// The text of the configuration.
    text: String,
    pub(super) parts: Vec<Part>,
    /// A line is a JSON object; `parts` are its additional fields.
    pub(super) json: bool,
}

/// What is wrong with a format. The texts are php-fpm's, except for those about JSON and ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A `{` without a `}`, or nothing after the `}`.
    #[error("missing closing embrace in the access.format")]
    OpenBrace,
    /// After `json`, something other than names of variables and headers.
    #[error("only %{{NAME}}e and %{{NAME}}o may follow json in the access.format")]
    AfterJson,
    /// `%e` without a name.
    #[error("the name of the environment variable must be set between embraces for %e")]
    NoVariable,
    /// `%o` without a name.
    #[error("the name of the header must be set between embraces for %o")]
    NoHeader,
    /// A character that means nothing after `%`.
    #[error("Invalid token in the access.format (%{0})")]
    Token(char),
    /// Braces before a character that takes none.
    #[error("embrace is not allowed for modifier %{0}")]
    NoModifier(char),
    /// Unknown text in the braces.
    #[error("only {allowed} are allowed as a modifier for %{token} ('{modifier}')")]
    Modifier {
        /// The character after `%` and the braces.
        token: char,
        /// The text in the braces.
        modifier: String,
        /// What may be there.
        allowed: &'static str,
    },
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The format's own text.
    Literal(Vec<u8>),
    /// `%C`
    Cpu(Cpu),
    /// `%d`
    Duration(Unit),
    /// `%{name}e`
    Variable(Vec<u8>),
    /// `%f`
    Script,
    /// `%i`: ours
    Id(Id),
    /// `%l`
    ContentLength,
    /// `%m`
    Method,
    /// `%M`, and the bytes of its unit
    Memory(u64),
    /// `%n`
    Pool,
    /// `%{name}o`
    Header(Vec<u8>),
    /// `%p`
    Pid,
    /// `%P`
    Supervisor,
    /// `%q`
    Query,
    /// `%Q`
    QueryMark,
    /// `%r`
    Uri,
    /// `%R`
    Remote,
    /// `%s`
    Status,
    /// `%t`
    Accepted(CString),
    /// `%T`
    Written(CString),
    /// `%u`
    User,
}

/// What `%C` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cpu {
    User,
    System,
    Total,
}

/// Which id `%i` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Id {
    Request,
    Trace,
    Span,
}

/// What `%d` counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
}

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(format: &str) -> Result<Self, FormatError> {
        let (parts, json) = match format.strip_prefix("json") {
            Some("") => (Vec::new(), true),
            Some(extra) if extra.starts_with(' ') => (json_parts(extra)?, true),
            _ => (text_parts(format)?, false),
        };
        Ok(Self { text: format.to_owned(), parts, json })
    }

    /// Whether lines are JSON objects.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether lines contain CPU times.
    #[must_use]
    pub fn wants_cpu(&self) -> bool {
        self.json || self.parts.iter().any(|part| matches!(part, Part::Cpu(_)))
    }

    /// Whether the format asks for ids of requests (`%i`), which they have only with `log.request_id`.
    #[must_use]
    pub fn asks_for_ids(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Id(_)))
    }

    /// Whether lines contain the client's address.
    #[must_use]
    pub fn wants_remote(&self) -> bool {
        self.json || self.parts.contains(&Part::Remote)
    }
}

impl From<Format> for String {
    fn from(format: Format) -> Self {
        format.text
    }
}

/// `json %{HTTP_HOST}e %{X-Id}o`: lines contain these variables and headers, too.
fn json_parts(extra: &str) -> Result<Vec<Part>, FormatError> {
    let blank = |part: &Part| matches!(part, Part::Literal(text) if text.iter().all(|byte| *byte == b' '));
    let mut parts = text_parts(extra)?;
    parts.retain(|part| !blank(part));
    if parts.iter().all(|part| matches!(part, Part::Variable(_) | Part::Header(_))) {
        Ok(parts)
    } else {
        Err(FormatError::AfterJson)
    }
}

fn text_parts(format: &str) -> Result<Vec<Part>, FormatError> {
    let mut parts = Vec::new();
    let mut rest = format.as_bytes();
    while let Some(percent) = rest.iter().position(|byte| *byte == b'%') {
        push_literal(&mut parts, &rest[..percent]);
        rest = &rest[percent + 1..];
        let mut modifier: &[u8] = b"";
        while let [b'{', after @ ..] = rest {
            (modifier, rest) = braces(after)?;
        }
        // A `%` at the end stands for nothing.
        let Some((&token, after)) = rest.split_first() else { break };
        rest = after;
        match token {
            b'%' if modifier.is_empty() => push_literal(&mut parts, b"%"),
            token => parts.push(placeholder(char::from(token), modifier)?),
        }
    }
    push_literal(&mut parts, rest);
    Ok(parts)
}

fn push_literal(parts: &mut Vec<Part>, text: &[u8]) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Literal(before)) => before.extend_from_slice(text),
        _ => parts.push(Part::Literal(text.to_vec())),
    }
}

/// The text up to `}`, and the text after it, which must not be empty.
fn braces(rest: &[u8]) -> Result<(&[u8], &[u8]), FormatError> {
    match rest.iter().position(|byte| *byte == b'}') {
        Some(end) if end + 1 < rest.len() => Ok((&rest[..end.min(MAX_MODIFIER)], &rest[end + 1..])),
        _ => Err(FormatError::OpenBrace),
    }
}

fn placeholder(token: char, modifier: &[u8]) -> Result<Part, FormatError> {
    let part = match token {
        'C' => return Ok(Part::Cpu(one_of(token, modifier, CPU, "'total', 'user' or 'system'")?)),
        'd' => {
            let allowed = "'seconds', 'milli', 'milliseconds', 'micro' or 'microseconds'";
            return Ok(Part::Duration(one_of(token, modifier, UNITS, allowed)?));
        }
        'i' => return Ok(Part::Id(one_of(token, modifier, IDS, "'request', 'trace' or 'span'")?)),
        'M' => {
            let allowed = "'bytes', 'kilo', 'kilobytes', 'mega' or 'megabytes'";
            return Ok(Part::Memory(one_of(token, modifier, SIZES, allowed)?));
        }
        'e' if modifier.is_empty() => {
            return Err(FormatError::NoVariable);
        }
        'o' if modifier.is_empty() => {
            return Err(FormatError::NoHeader);
        }
        'e' => return Ok(Part::Variable(modifier.to_vec())),
        'o' => return Ok(Part::Header(modifier.to_vec())),
        't' => return Ok(Part::Accepted(date(modifier))),
        'T' => return Ok(Part::Written(date(modifier))),
        'f' => Part::Script,
        'l' => Part::ContentLength,
        'm' => Part::Method,
        'n' => Part::Pool,
        'p' => Part::Pid,
        'P' => Part::Supervisor,
        'q' => Part::Query,
        'Q' => Part::QueryMark,
        'r' => Part::Uri,
        'R' => Part::Remote,
        's' => Part::Status,
        'u' => Part::User,
        '%' => return Err(FormatError::NoModifier(token)),
        _ => return Err(FormatError::Token(token)),
    };
    if modifier.is_empty() { Ok(part) } else { Err(FormatError::NoModifier(token)) }
}

const CPU: &[(&str, Cpu)] = &[("total", Cpu::Total), ("user", Cpu::User), ("system", Cpu::System)];

const IDS: &[(&str, Id)] = &[("request", Id::Request), ("trace", Id::Trace), ("span", Id::Span)];

/// Two of these names are misspelt; php-fpm accepts them for compatibility.
const UNITS: &[(&str, Unit)] = &[
    ("seconds", Unit::Seconds),
    ("milliseconds", Unit::Milliseconds),
    ("milli", Unit::Milliseconds),
    ("miliseconds", Unit::Milliseconds),
    ("mili", Unit::Milliseconds),
    ("microseconds", Unit::Microseconds),
    ("micro", Unit::Microseconds),
];

const SIZES: &[(&str, u64)] =
    &[("bytes", 1), ("kilobytes", 1 << 10), ("kilo", 1 << 10), ("megabytes", 1 << 20), ("mega", 1 << 20)];

/// The meaning of the modifier; without a modifier, the first one.
fn one_of<T: Copy>(token: char, modifier: &[u8], names: &[(&str, T)], allowed: &'static str) -> Result<T, FormatError> {
    let known = |name: &str| modifier.is_empty() || name.as_bytes().eq_ignore_ascii_case(modifier);
    names.iter().find(|(name, _)| known(name)).map(|(_, meaning)| *meaning).ok_or_else(|| FormatError::Modifier {
        token,
        modifier: String::from_utf8_lossy(modifier).into_owned(),
        allowed,
    })
}

fn date(modifier: &[u8]) -> CString {
    let format = if modifier.is_empty() { USUAL_DATE } else { modifier };
    let end = format.iter().position(|&byte| byte == 0).unwrap_or(format.len());
    CString::new(&format[..end]).unwrap_or_default()
}
