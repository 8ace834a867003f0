//! The library beside stock php-fpm, which is run for its answer alone: these tests start no server.

mod configuration;
