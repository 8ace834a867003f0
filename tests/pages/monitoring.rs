//! docs/monitoring.md lists the metrics that there are, with their labels.

use std::collections::{BTreeMap, BTreeSet};

use testkit::clock::ms;
use testkit::sandbox::free_port;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, http, turn};

use super::source;

/// The labels by name of metric.
type Metrics = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_metrics_are_those_of_the_page() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let page = source("docs/monitoring.md")?;
    let line = page.lines().find(|line| line.starts_with("monitor.listen = ")).ok_or("no example")?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let line = line.replace("127.0.0.1:9253", &address.to_string());
    let server = Server::start(&target, &Setup::new(1).global(&line))?;
    let text = http::Client::new(address, ms(5000)).get("/metrics")?.expect(200)?.text();
    let (told, there) = (of_page(&page), of_text(&text));
    ensure!(told.len() > 20 && there.len() == told.len(), "documented: {told:#?}; there: {there:#?}");
    for (name, labels) in &told {
        ensure!(there.get(name) == Some(labels), "{name}: {:?} in place of {labels:?}", there.get(name));
    }
    server.stop()
}

fn of_page(page: &str) -> Metrics {
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut metrics = Metrics::new();
    for line in page.lines() {
        if let Some(row) = line.strip_prefix("| `phpfpm_") {
            let cells: Vec<&str> = row.split(" | ").collect();
            let name = format!("phpfpm_{}", cells[0].trim_end_matches('`'));
            metrics.insert(name, quoted(cells[1]).into_iter().collect());
        } else if line.starts_with("`phpfpm_") {
            let labels = ["pool", "scrape_uri"].map(str::to_owned);
            metrics.extend(quoted(line).into_iter().map(|name| (name, labels.clone().into())));
        }
    }
    metrics
}

fn of_text(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap_or_default().to_owned();
        } else if !line.starts_with('#') {
            let labels = line.split_once('{').map_or("", |(_, labels)| labels);
            let names = labels.split(',').filter_map(|label| label.split_once('=').map(|(name, _)| name.to_owned()));
            metrics.entry(family.clone()).or_default().extend(names.filter(|name| name != "le"));
        }
    }
    metrics
}
