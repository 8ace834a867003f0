//! The files in contrib/monitoring, and the queries of docs/monitoring.md: `promtool` tests the alerts, and a real Prometheus that scrapes a
//! monitor has an answer to each expression.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testkit::clock::{bar, ms, wait_until};
use testkit::sandbox::{Sandbox, free_port};
use testkit::setup::{Listen, Setup};
use testkit::target::Target;
use testkit::{Outcome, ensure, http, skip, turn};

use super::Monitored;

/// Those of hipages/php-fpm_exporter's dashboard, grafana/kubernetes-php-fpm.json, that are not about single processes.
const FORMER: &[&str] = &[
    "avg((sum(phpfpm_active_processes{namespace=\"web\"}) by (kubernetes_pod_name) *100) / sum(phpfpm_total_processes{namespace=\"web\"}) by (kubernetes_pod_name))",
    "sum(phpfpm_max_children_reached{namespace=\"web\"})",
    "delta(phpfpm_accepted_connections{namespace=\"web\"}[2m])",
    "phpfpm_active_processes{namespace=\"web\"}",
    "phpfpm_idle_processes{namespace=\"web\"}",
    "phpfpm_total_processes{namespace=\"web\"}",
    "phpfpm_listen_queue{namespace=\"web\"}",
    "phpfpm_up{namespace=\"web\"}",
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn is_installed() -> Outcome<bool> {
    let runs = |program| Command::new(program).arg("--version").output().is_ok_and(|ran| ran.status.success());
    let there = runs("prometheus") && runs("promtool");
    if !there {
        ensure!(std::env::var("CI").as_deref() != Ok("true"), "prometheus is needed");
        skip("prometheus is not installed");
    }
    Ok(there)
}

/// Each alert fires when it should, and none when all is in order.
#[test]
fn alerts() -> Outcome {
    if Target::find_ours().is_none() || !is_installed()? {
        return Ok(());
    }
    let directory = file("contrib/monitoring");
    for what in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let ran = Command::new("promtool").args(what).current_dir(&directory).output()?;
        ensure!(ran.status.success(), "{what:?}: {ran:?}");
    }
    let text = |name: &str| fs::read_to_string(directory.join(name));
    let (alerts, tests) = (text("alerts.yml")?, text("alerts_test.yml")?);
    let names = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    for name in names {
        ensure!(tests.contains(&format!("alertname=\"{name}\"")), "{name} is not tested");
    }
    Ok(())
}

#[test]
fn each_expression_has_an_answer() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    if !is_installed()? {
        return Ok(());
    }
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(2).listen(Listen::Tcp))?;
    let prometheus = Prometheus::start(monitored.address)?;
    monitored.server.says_hello(&monitored.server.address)?;
    let mut asked = dashboard()?;
    asked.extend(documented()?);
    asked.extend(FORMER.iter().map(|&expression| ("the former dashboard", expression.to_owned())));
    wait_until("it answers", bar(ms(10_000)), || prometheus.rules().is_ok())?;
    for (expression, health) in prometheus.rules()? {
        ensure!(health != "err", "{expression}: {health}");
        asked.push(("alerts.yml", expression));
    }
    ensure!(asked.len() > 70, "only {} expressions were found", asked.len());
    let mut open = asked;
    let all = wait_until("each expression has an answer", bar(ms(10_000)), || {
        open.retain(|(_, expression)| !prometheus.series(expression).is_ok_and(|count| count > 0));
        open.is_empty()
    });
    let why = || open.first().map(|(_, expression)| format!("{:?}", prometheus.series(expression)));
    ensure!(all.is_ok(), "{} have none: {open:#?} {:?}", open.len(), why());
    let wrong = prometheus.series("phpfpm_no_such_metric")?;
    ensure!(wrong == 0, "{wrong} series of nothing");
    drop(prometheus);
    monitored.server.stop()
}

/// The expressions of the dashboard, each with what it is of. Each is one of the chosen data source.
fn dashboard() -> Outcome<Vec<(&'static str, String)>> {
    let json: Value = serde_json::from_slice(&fs::read(file("contrib/monitoring/dashboard.json"))?)?;
    let mut found = Vec::new();
    collect(&json, &mut found)?;
    for variable in json["templating"]["list"].as_array().into_iter().flatten() {
        if let Some(query) = variable["query"]["query"].as_str() {
            let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (metric, label) = inside.and_then(|inside| inside.rsplit_once(", ")).ok_or("no label_values")?;
            found.push(("dashboard.json", filled_in(&format!("count by ({label}) ({metric})"))));
        }
    }
    Ok(found)
}

fn collect(value: &Value, found: &mut Vec<(&'static str, String)>) -> Outcome {
    match value {
        Value::Object(object) => {
            if let Some(expression) = object.get("expr").and_then(Value::as_str) {
                ensure!(object["datasource"]["uid"] == "${datasource}", "{expression}: {}", object["datasource"]);
                found.push(("dashboard.json", filled_in(expression)));
            }
            object.values().try_for_each(|inner| collect(inner, found))
        }
        Value::Array(array) => array.iter().try_for_each(|inner| collect(inner, found)),
        _ => Ok(()),
    }
}

/// The variables as Grafana fills them in.
fn filled_in(expression: &str) -> String {
    expression.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$pool", ".*")
}

/// The expressions of the table "Useful queries".
fn documented() -> Outcome<Vec<(&'static str, String)>> {
    let page = fs::read_to_string(file("docs/monitoring.md"))?;
    let (_, section) = page.split_once("### Useful queries\n").ok_or("no table")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let queries = section.lines().filter(|line| line.starts_with("| ")).filter_map(|line| {
        let (_, query) = line.strip_suffix("` |")?.split_once(" | `")?;
        Some(("docs/monitoring.md", query.replace("\\|", "|")))
    });
    let queries: Vec<_> = queries.collect();
    ensure!(queries.len() >= 7, "{queries:#?}");
    Ok(queries)
}

/// A server that scrapes a monitor twice a second.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _sandbox: Sandbox,
}

impl Prometheus {
    fn start(monitor: SocketAddr) -> Outcome<Self> {
        let sandbox = Sandbox::new()?;
        let rules = file("contrib/monitoring/alerts.yml");
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n- job_name: php\n  static_configs:\n  - targets: ['{monitor}']\n    \
             labels: {{ namespace: web, kubernetes_pod_name: a }}\n",
            rules.display()
        );
        sandbox.put("prometheus.yml", &config)?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", sandbox.file("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", sandbox.file("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self { child, address, _sandbox: sandbox })
    }

    fn ask(&self, path: &str, body: Option<&str>) -> Outcome<Value> {
        let mut client = http::Client::new(self.address, bar(ms(5000)));
        let reply = match body {
            Some(body) => client.post(path, body.as_bytes()),
            None => client.get(path),
        }?;
        let json: Value = serde_json::from_slice(&reply.body)?;
        ensure!(json["status"] == "success", "{json}");
        Ok(json["data"].clone())
    }

    /// The expressions of all rules as it has read them, and whether it could evaluate them.
    fn rules(&self) -> Outcome<BTreeMap<String, String>> {
        let data = self.ask("/api/v1/rules", None)?;
        let groups = data["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
        let text = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        let rules: BTreeMap<_, _> = rules.map(|rule| (text(&rule, "query"), text(&rule, "health"))).collect();
        ensure!(!rules.is_empty(), "no rules: {data}");
        Ok(rules)
    }

    /// How many series an expression has. A comparison has one for each that it compares, whether it is true or not.
    fn series(&self, expression: &str) -> Outcome<usize> {
        let mut query = expression.to_owned();
        for comparison in [" > ", " >= ", " == "] {
            query = query.replace(comparison, &format!("{comparison}bool "));
        }
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let data = self.ask("/api/v1/query", Some(&format!("query={encoded}")))?;
        Ok(data["result"].as_array().map_or(0, Vec::len))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
