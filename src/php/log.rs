//! Where messages go: the process manager's log, and, during a request, the web server's by FCGI_STDERR.

use super::context::{Context, with};
use super::module::settings;
use crate::config::LogLevel;

/// Logs a message of ours or of PHP's, given in pieces.
pub(super) fn report(level: LogLevel, parts: &[&[u8]]) {
    let message = parts.concat();
    with(|context| forward(context, &message));
    crate::log::message(level, &String::from_utf8_lossy(&message));
}

/// Sends a message to the web server's error log, if `fastcgi.logging` wants it.
fn forward(context: &mut Context, message: &[u8]) {
    if message.is_empty() || !settings().logging {
        return;
    }
    let separator: &[u8] = if std::mem::replace(&mut context.logged, true) { b"; " } else { b"" };
    if let Some(exchange) = context.exchange() {
        exchange.write_stderr(separator);
        exchange.write_stderr(message);
    }
}
