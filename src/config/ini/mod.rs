//! The ini language of php-fpm: one line at a time, by the rules of Zend's scanner (mode NORMAL) and grammar.

mod constants;
mod grammar;
mod matchers;
mod rules;
mod scanner;
mod statement;
mod token;

#[cfg(test)]
mod tests;

pub(crate) use constants::core_constant;
pub(crate) use grammar::{parse_line, syntax_error};
pub(crate) use statement::{Names, NoNames, Statement};
