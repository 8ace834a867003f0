//! Behaviour that depends on the door: served through each one, also if only our own php-cgi exists to preload into.

mod serving;
mod status;
mod transparency;
