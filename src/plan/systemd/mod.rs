//! The protocol between systemd and its services, without its library: variables (sd_listen_fds(3)), messages (sd_notify(3)).

mod heartbeat;
mod store;
mod variables;

pub(crate) use heartbeat::{Heartbeat, Load};
pub(crate) use store::{Change, changes, socket_name, user_in_name};
pub(crate) use variables::{passed_names, watchdog};

use crate::escape;

/// The longest status that is sent: `systemctl status` shows one line of it.
const STATUS: usize = 300;

/// A text as the one line that a STATUS= may be.
#[must_use]
pub(crate) fn one_line(text: &str) -> String {
    escape::line(text.as_bytes()).chars().take(STATUS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_can_not_begin_another_line() {
        assert_eq!(one_line("no\nSTOPPING=1\r"), "no\\x0ASTOPPING=1\\x0D");
        assert_eq!(one_line(&"ä".repeat(500)).chars().count(), STATUS);
    }
}
