//! The values of a section as php-fpm keeps them: texts that may be unset, and 32-bit integers.

use std::marker::PhantomData;

use super::directives::{Key, Kind};
use super::model::ProcessManager;
use super::values;
use crate::log;

/// php-fpm's number for "no nice value".
pub(crate) const NO_PRIORITY: i32 = 64;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(Option<String>),
    Integer(i32),
    LogLevel(Option<log::Level>),
    ProcessManager(Option<ProcessManager>),
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
            Kind::Text | Kind::Bytes | Kind::FastcgiPhpValue | Kind::OnSigterm | Kind::LogFormat => Value::Text(None),
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

    /// Takes the text of the file for the directive called `name`, in the pool called `pool`.
    ///
    /// # Errors
    /// php-fpm's message without file and line.
    pub(crate) fn assign(&mut self, name: &str, text: &str, pool: Option<&str>) -> Result<(), String> {
        let mut known = K::TABLE.iter().enumerate();
        let Some((index, directive)) = known.find(|(_, known)| known.name.eq_ignore_ascii_case(name)) else {
            return Err(format!("unknown entry '{name}'"));
        };
        match Self::read(directive.kind, text, pool) {
            Ok(value) => self.values[index] = value,
            Err(error) => return Err(format!("unable to parse value for entry '{}': {error}", directive.name)),
        }
        Ok(())
    }

    fn read(kind: Kind, text: &str, pool: Option<&str>) -> Result<Value, &'static str> {
        let value = match kind {
            Kind::Text => Value::Text(Some(values::with_pool_name(text, pool)?)),
            Kind::Bytes => Value::Text(values::bytes(text).map(|_| Some(text.to_owned()))?),
            Kind::OnSigterm => Value::Text(values::on_sigterm(text).map(|_| Some(text.to_owned()))?),
            Kind::FastcgiPhpValue => Value::Text(values::fastcgi_php_value(text).map(|_| Some(text.to_owned()))?),
            Kind::LogFormat => Value::Text(values::log_format(text).map(|_| Some(text.to_owned()))?),
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
            _ => None,
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

    /// A number; 0 for what isn't one.
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
