//! The shared part of the process tests and the bench: private servers, clients, `/proc`. It knows PHP only from
//! outside.

pub mod apache;
pub mod around;
pub mod broken;
pub mod bytes;
pub mod calls;
pub mod clock;
pub mod extension;
pub mod fastcgi;
pub mod front;
pub mod guard;
pub mod http;
pub mod inside;
pub mod load;
pub mod log;
pub mod netns;
pub mod nginx;
pub mod process;
pub mod random;
pub mod sandbox;
pub mod seccomp;
pub mod server;
pub mod setup;
pub mod stage;
pub mod stream;
mod sys;
pub mod target;
pub mod this_test;
pub mod turn;
pub mod usage;
mod web_server;

pub use this_test::{say, skip};

/// The result of a test or helper; a failure is a text.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Fails the test with a text unless the condition holds: `assert!` for code that returns `Outcome`.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+).into());
        }
    };
}
