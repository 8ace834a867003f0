//! Compares the library with stock php-fpm, which runs only to print its result: these tests start no server.

mod configuration;
