//! The monitor: what it shows, and that it neither depends on workers nor disturbs them.

mod code_cache;
mod confined;
mod counts;
mod deaths;
mod health;
mod overview;
mod page;
mod prometheus;
mod under_load;
mod valid;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use testkit::clock::{bar, ms, wait_until};
use testkit::process::Process;
use testkit::sandbox::free_port;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, http};

/// A server with a monitor.
struct Monitored {
    server: Server,
    address: SocketAddr,
}

/// The samples of a text.
type Samples = BTreeMap<String, f64>;

impl Monitored {
    fn start(target: &Target, setup: &Setup) -> Outcome<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let server = Server::start(target, &setup.clone().global(&format!("monitor.listen = {address}")))?;
        let monitored = Self { server, address };
        wait_until("the monitor answers", bar(ms(3000)), || monitored.get("/livez").is_ok())?;
        Ok(monitored)
    }

    fn get(&self, path: &str) -> Outcome<http::Reply> {
        http::Client::new(self.address, bar(ms(5000))).get(path)
    }

    fn samples(&self) -> Outcome<Samples> {
        Ok(samples(&self.get("/metrics")?.expect(200)?.text()))
    }

    /// The samples when all of that has been counted. A worker counts its request after its client has the answer.
    fn samples_when(&self, what: &str, holds: impl Fn(&Samples) -> bool) -> Outcome<Samples> {
        let mut last = Samples::new();
        let waited = wait_until(what, bar(ms(5000)), || {
            last = self.samples().unwrap_or_default();
            holds(&last)
        });
        waited.map_err(|error| format!("{error}: {last:#?}"))?;
        Ok(last)
    }

    fn process(&self) -> Outcome<Process> {
        let children = self.server.supervisor.children();
        let monitor = children.into_iter().find(|child| child.title() == "php-fpm: monitor");
        Ok(monitor.ok_or("there is no monitor")?)
    }
}

fn samples(text: &str) -> Samples {
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// The value of a sample of the pool `www`, with further labels as they are written.
fn www(samples: &Samples, name: &str, labels: &str) -> f64 {
    let labels = if labels.is_empty() { String::new() } else { format!(",{labels}") };
    samples.get(&format!("{name}{{pool=\"www\"{labels}}}")).copied().unwrap_or(f64::NAN)
}
