//! Whole files, as an operator writes them.
