//! The values of a section, as php-fpm keeps them: texts that may be unset, and 32-bit integers.

use std::marker::PhantomData;

use super::directives::{Key, Kind};
use super::types::{BaseUse, PhpValuePolicy, ProcessManager};
use super::values;
use crate::log;
use crate::log::messages::config_values::{StatementError, ValueError};

/// php-fpm's number for "no nice value".
pub(crate) const NO_PRIORITY: i32 = 64;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(Option<String>),
    Integer(i32),
    LogLevel(Option<log::Level>),
    ProcessManager(Option<ProcessManager>),
    Bytes(Option<Given<u64>>),
    LogFormat(Option<Given<log::Format>>),
    PhpValuePolicy(Option<Given<PhpValuePolicy>>),
    /// One of two words.
    Choice(Option<Given<bool>>),
    BaseUse(Option<Given<BaseUse>>),
}

/// The value of a directive of ours, and its text, which `-tt` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given<T> {
    text: String,
    value: T,
}

impl<T> Given<T> {
    fn read<E>(text: &str, read: fn(&str) -> Result<T, E>) -> Result<Option<Self>, E> {
        Ok(Some(Self { text: text.to_owned(), value: read(text)? }))
    }
}

/// The values of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section<K> {
    values: Vec<Value>,
    keys: PhantomData<K>,
}

impl<K: Key> Section<K> {
    /// All defaults.
    pub(crate) fn new() -> Self {
        let initial = |kind| match kind {
            Kind::Text => Value::Text(None),
            Kind::Bytes => Value::Bytes(None),
            Kind::LogFormat => Value::LogFormat(None),
            Kind::FastcgiPhpValue => Value::PhpValuePolicy(None),
            Kind::OnSigterm | Kind::StartFailure => Value::Choice(None),
            Kind::BaseUse => Value::BaseUse(None),
            Kind::Integer(default)
            | Kind::Seconds(default)
            | Kind::PlainSeconds(default)
            | Kind::Milliseconds(default) => Value::Integer(default),
            Kind::Priority => Value::Integer(NO_PRIORITY),
            Kind::Flag(default) => Value::Integer(i32::from(default)),
            Kind::Facility => Value::Integer(-1),
            Kind::CoreLimit => Value::Integer(0),
            Kind::LogLevel => Value::LogLevel(None),
            Kind::ProcessManager => Value::ProcessManager(None),
        };
        let values = K::TABLE.iter().map(|directive| initial(directive.kind)).collect();
        Self { values, keys: PhantomData }
    }

    /// Sets the directive called `name` to a text of the file, in the pool called `pool`.
    ///
    /// # Errors
    /// The section has no such directive, or the value is refused.
    pub(crate) fn assign(&mut self, name: &str, text: &str, pool: Option<&str>) -> Result<(), StatementError> {
        let mut known = K::TABLE.iter().enumerate();
        let Some((index, directive)) = known.find(|(_, known)| known.name.eq_ignore_ascii_case(name)) else {
            return Err(StatementError::UnknownEntry { name: name.to_owned() });
        };
        let value = Self::read(directive.kind, text, pool);
        self.values[index] =
            value.map_err(|reason| StatementError::Value { name: directive.name.to_owned(), reason })?;
        Ok(())
    }

    fn read(kind: Kind, text: &str, pool: Option<&str>) -> Result<Value, ValueError> {
        let value = match kind {
            Kind::Text => Value::Text(Some(values::with_pool_name(text, pool)?)),
            Kind::Bytes => Value::Bytes(Given::read(text, values::bytes)?),
            Kind::OnSigterm => Value::Choice(Given::read(text, values::on_sigterm)?),
            Kind::StartFailure => Value::Choice(Given::read(text, values::start_failure)?),
            Kind::BaseUse => Value::BaseUse(Given::read(text, values::base_use)?),
            Kind::FastcgiPhpValue => Value::PhpValuePolicy(Given::read(text, values::fastcgi_php_value)?),
            Kind::LogFormat => Value::LogFormat(Given::read(text, values::log_format)?),
            Kind::Integer(_) | Kind::Priority => Value::Integer(values::integer(text)?),
            Kind::Seconds(_) | Kind::PlainSeconds(_) | Kind::Milliseconds(_) => Value::Integer(values::seconds(text)?),
            Kind::Flag(_) => Value::Integer(i32::from(values::boolean(text)?)),
            Kind::Facility => Value::Integer(values::facility(text)?),
            Kind::CoreLimit => Value::Integer(values::core_limit(text)?),
            Kind::LogLevel => Value::LogLevel(Some(values::log_level(text)?)),
            Kind::ProcessManager => Value::ProcessManager(Some(values::process_manager(text)?)),
        };
        Ok(value)
    }

    /// A text, if it is set.
    pub(crate) fn text(&self, key: K) -> Option<&str> {
        self.text_at(key.index())
    }

    pub(crate) fn text_at(&self, index: usize) -> Option<&str> {
        match &self.values[index] {
            Value::Text(text) => text.as_deref(),
            Value::Bytes(given) => given.as_ref().map(|given| given.text.as_str()),
            Value::LogFormat(given) => given.as_ref().map(|given| given.text.as_str()),
            Value::PhpValuePolicy(given) => given.as_ref().map(|given| given.text.as_str()),
            Value::Choice(given) => given.as_ref().map(|given| given.text.as_str()),
            Value::BaseUse(given) => given.as_ref().map(|given| given.text.as_str()),
            Value::Integer(_) | Value::LogLevel(_) | Value::ProcessManager(_) => None,
        }
    }

    /// A text, if it is set and not empty.
    pub(crate) fn filled(&self, key: K) -> Option<&str> {
        self.text(key).filter(|text| !text.is_empty())
    }

    /// The same as an owned string.
    pub(crate) fn owned(&self, key: K) -> Option<String> {
        self.filled(key).map(str::to_owned)
    }

    /// A number; 0 if the value is not a number.
    pub(crate) fn integer(&self, key: K) -> i32 {
        self.integer_at(key.index())
    }

    pub(crate) fn integer_at(&self, index: usize) -> i32 {
        match &self.values[index] {
            Value::Integer(value) => *value,
            _ => 0,
        }
    }

    /// A yes or no.
    pub(crate) fn flag(&self, key: K) -> bool {
        self.integer(key) != 0
    }

    /// A log level, if it is set.
    pub(crate) fn log_level(&self, key: K) -> Option<log::Level> {
        self.log_level_at(key.index())
    }

    pub(crate) fn log_level_at(&self, index: usize) -> Option<log::Level> {
        match &self.values[index] {
            Value::LogLevel(level) => *level,
            _ => None,
        }
    }

    /// A process manager, if it is set.
    pub(crate) fn process_manager(&self, key: K) -> Option<ProcessManager> {
        self.process_manager_at(key.index())
    }

    pub(crate) fn process_manager_at(&self, index: usize) -> Option<ProcessManager> {
        match &self.values[index] {
            Value::ProcessManager(manager) => *manager,
            _ => None,
        }
    }

    /// A number of bytes, if it is set.
    pub(crate) fn bytes(&self, key: K) -> Option<u64> {
        match &self.values[key.index()] {
            Value::Bytes(given) => given.as_ref().map(|given| given.value),
            _ => None,
        }
    }

    /// `log_format`, if it is set.
    pub(crate) fn log_format(&self, key: K) -> Option<log::Format> {
        match &self.values[key.index()] {
            Value::LogFormat(given) => given.as_ref().map(|given| given.value),
            _ => None,
        }
    }

    /// `security.fastcgi_php_value`, if it is set.
    pub(crate) fn php_value_policy(&self, key: K) -> Option<PhpValuePolicy> {
        match &self.values[key.index()] {
            Value::PhpValuePolicy(given) => given.as_ref().map(|given| given.value),
            _ => None,
        }
    }

    /// Of `on_sigterm` (true: graceful) or `process.start_failure` (true: stop), if it is set.
    pub(crate) fn choice(&self, key: K) -> Option<bool> {
        match &self.values[key.index()] {
            Value::Choice(given) => given.as_ref().map(|given| given.value),
            _ => None,
        }
    }

    /// `process.base`, if it is set.
    pub(crate) fn base_use(&self, key: K) -> Option<BaseUse> {
        match &self.values[key.index()] {
            Value::BaseUse(given) => given.as_ref().map(|given| given.value),
            _ => None,
        }
    }

    pub(crate) fn set_text(&mut self, key: K, text: impl Into<Option<String>>) {
        self.values[key.index()] = Value::Text(text.into());
    }

    pub(crate) fn set_integer(&mut self, key: K, value: i32) {
        self.values[key.index()] = Value::Integer(value);
    }

    pub(crate) fn set_process_manager(&mut self, key: K, manager: ProcessManager) {
        self.values[key.index()] = Value::ProcessManager(Some(manager));
    }
}
