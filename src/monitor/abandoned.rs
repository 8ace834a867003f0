//! Whether the supervisor still knows the monitor. A reload executes the program again, and that may be one of a former version, which
//! knows no monitor: it keeps the descriptors that it was given without using them. Then the monitor must end, since what it tells is
//! no longer true.

use std::time::Duration;

use crate::scoreboard::{Fact, ServiceView};
use crate::sys::clock::Moment;

/// So long the next image may take to its first turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for a sign of life of the next image.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The last turn of the former image, and when the patience ends.
    since: Option<(u64, Moment)>,
}

impl Watch {
    /// The supervisor is about to execute its program.
    pub(super) fn begin(&mut self, service: &ServiceView, now: Moment) {
        self.since = Some((service.get(Fact::Turned), now + PATIENCE));
    }

    /// When to look.
    pub(super) fn until(&self) -> Option<Moment> {
        self.since.map(|(_, until)| until)
    }

    /// Whether no image has shown that it knows the monitor. An image that does writes its turns, before or after it has replaced it.
    pub(super) fn is_abandoned(&mut self, service: &ServiceView, now: Moment) -> bool {
        let due = self.since.take_if(|(_, until)| *until <= now);
        due.is_some_and(|(turned, _)| service.get(Fact::Turned) == turned)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::scoreboard::Service;

    #[test]
    fn an_image_that_knows_no_monitor_does_not_turn_for_it() {
        let service = Service::create().unwrap();
        let view = ServiceView::map(service.as_fd()).unwrap();
        let (mut watch, at) = (Watch::default(), Moment::at_millis);
        service.set(Fact::Turned, 7);
        assert!(!watch.is_abandoned(&view, at(50_000)), "nothing is executed");
        watch.begin(&view, at(100));
        assert!(!watch.is_abandoned(&view, at(10_099)) && watch.until() == Some(at(10_100)));
        assert!(watch.is_abandoned(&view, at(10_100)));
        watch.begin(&view, at(100));
        service.set(Fact::Turned, 8);
        assert!(!watch.is_abandoned(&view, at(10_100)) && watch.until().is_none(), "it has turned");
    }
}
