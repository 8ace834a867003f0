//! The ini dialect php-fpm reads: one line at a time, by the rules of Zend's scanner (mode NORMAL) and grammar.

mod constants;
mod grammar;
mod matchers;
mod scanner;

pub(crate) use constants::core_constant;
pub(crate) use grammar::{Names, Statement, parse_line};
