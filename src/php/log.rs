//! Messages of PHP and about requests: they go to the process manager's log and, during a request, as `FCGI_STDERR` to the web
//! server's.

use parking_lot::Mutex;

use super::context::{Context, with};
use super::settings::settings;
use crate::log::messages::ByteMessage;

/// The last message outside of a request. If PHP does not start, it is the reason.
static LAST: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The last message of PHP before its start failed.
pub(super) fn last_words() -> Option<String> {
    let last = LAST.lock();
    (!last.is_empty()).then(|| String::from_utf8_lossy(&last).into_owned())
}

/// Logs a message of ours or of PHP's, and sends it to the web server if a request runs.
pub(super) fn report(message: &ByteMessage) {
    if with(|context| forward(context, &message.text)).is_none() {
        LAST.lock().clone_from(&message.text);
    }
    crate::log::message_of(message.level, &message.text);
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
