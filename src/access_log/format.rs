//! `access.format`, read once: the parts that a line is made of. Accepted formats and messages are php-fpm's.

use std::ffi::CString;

use serde::Serialize;

/// Longest text between braces that is looked at, in bytes.
const MAX_MODIFIER: usize = 128;

/// The form of `%t` and `%T` without braces.
const USUAL_DATE: &[u8] = b"%d/%b/%Y:%H:%M:%S %z";

/// A format that lines can be written in. In JSON it is its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Format {
    /// As the configuration has it.
    text: String,
    pub(super) parts: Vec<Part>,
    /// A line is a JSON object; `parts` are what it holds beyond the usual.
    pub(super) json: bool,
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
    /// The error in it.
    pub fn compile(format: &str) -> Result<Self, String> {
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

    /// Whether lines tell CPU times.
    #[must_use]
    pub fn wants_cpu(&self) -> bool {
        self.json || self.parts.iter().any(|part| matches!(part, Part::Cpu(_)))
    }

    /// Whether lines tell the client's address.
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

/// `json %{HTTP_HOST}e %{X-Id}o`: variables and headers that lines are to hold as well.
fn json_parts(extra: &str) -> Result<Vec<Part>, String> {
    let blank = |part: &Part| matches!(part, Part::Literal(text) if text.iter().all(|byte| *byte == b' '));
    let mut parts = text_parts(extra)?;
    parts.retain(|part| !blank(part));
    if parts.iter().all(|part| matches!(part, Part::Variable(_) | Part::Header(_))) {
        Ok(parts)
    } else {
        Err("only %{NAME}e and %{NAME}o may follow json in the access.format".to_owned())
    }
}

fn text_parts(format: &str) -> Result<Vec<Part>, String> {
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

/// The text up to `}` and what follows, of which there must be something.
fn braces(rest: &[u8]) -> Result<(&[u8], &[u8]), String> {
    match rest.iter().position(|byte| *byte == b'}') {
        Some(end) if end + 1 < rest.len() => Ok((&rest[..end.min(MAX_MODIFIER)], &rest[end + 1..])),
        _ => Err("missing closing embrace in the access.format".to_owned()),
    }
}

fn placeholder(token: char, modifier: &[u8]) -> Result<Part, String> {
    let part = match token {
        'C' => return Ok(Part::Cpu(one_of(token, modifier, CPU, "'total', 'user' or 'system'")?)),
        'd' => {
            let allowed = "'seconds', 'milli', 'milliseconds', 'micro' or 'microseconds'";
            return Ok(Part::Duration(one_of(token, modifier, UNITS, allowed)?));
        }
        'M' => {
            let allowed = "'bytes', 'kilo', 'kilobytes', 'mega' or 'megabytes'";
            return Ok(Part::Memory(one_of(token, modifier, SIZES, allowed)?));
        }
        'e' if modifier.is_empty() => {
            return Err("the name of the environment variable must be set between embraces for %e".to_owned());
        }
        'o' if modifier.is_empty() => {
            return Err("the name of the header must be set between embraces for %o".to_owned());
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
        '%' => return Err(no_embrace(token)),
        _ => return Err(format!("Invalid token in the access.format (%{token})")),
    };
    if modifier.is_empty() { Ok(part) } else { Err(no_embrace(token)) }
}

fn no_embrace(token: char) -> String {
    format!("embrace is not allowed for modifier %{token}")
}

const CPU: &[(&str, Cpu)] = &[("total", Cpu::Total), ("user", Cpu::User), ("system", Cpu::System)];

/// php-fpm goes on taking the names that it once had misspelt.
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

/// The modifier's meaning, by name; the first one without a name.
fn one_of<T: Copy>(token: char, modifier: &[u8], names: &[(&str, T)], allowed: &str) -> Result<T, String> {
    let known = |name: &str| modifier.is_empty() || name.as_bytes().eq_ignore_ascii_case(modifier);
    names.iter().find(|(name, _)| known(name)).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let modifier = String::from_utf8_lossy(modifier);
        format!("only {allowed} are allowed as a modifier for %{token} ('{modifier}')")
    })
}

fn date(modifier: &[u8]) -> CString {
    let format = if modifier.is_empty() { USUAL_DATE } else { modifier };
    let end = format.iter().position(|&byte| byte == 0).unwrap_or(format.len());
    CString::new(&format[..end]).unwrap_or_default()
}
