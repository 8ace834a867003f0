//! What depends on the door alone: served through each one, also where only our own php-cgi is there to be preloaded into.

mod serving;
mod status;
mod transparency;
