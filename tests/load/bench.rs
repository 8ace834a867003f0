//! The bench itself works: each part, with few requests, gives figures of both servers.

use serde_json::Value;
use testkit::nginx::Nginx;
use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::{Outcome, calls, ensure};

/// Runs parts of the bench with cases of that name; their figures.
fn run(parts: &str, only: &str) -> Outcome<Value> {
    let sandbox = Sandbox::new()?;
    let json = sandbox.file("figures.json");
    let words = ["--quick", "--rounds", "1", "--parts", parts, "--only", only, "--json", &json.to_string_lossy()];
    bench::run(words.map(str::to_owned))?;
    let mut all: Value = serde_json::from_str(&std::fs::read_to_string(json)?)?;
    ensure!(all["machine"]["php"].as_str().is_some_and(|text| text.starts_with("PHP 8")), "{}", all["machine"]);
    Ok(all["parts"].take())
}

/// The first case of a part: a figure of the first round of both servers, above 0.
fn both(part: &Value, figure: &str) -> Outcome<[f64; 2]> {
    let of = |server: &str| part[0][server]["rounds"][0][figure].as_f64().filter(|value| *value > 0.0);
    let figures = of("ours").zip(of("stock"));
    figures.map(|(ours, stock)| [ours, stock]).ok_or_else(|| format!("no {figure} in {part}").into())
}

#[test]
fn measures_requests_and_their_system_calls() -> Outcome {
    let Some(_) = Target::find_ours() else { return Ok(()) };
    let parts = run("micro", "hello, new connection, TCP")?;
    let micro = &parts["micro"];
    ensure!(micro.as_array().is_some_and(|rows| rows.len() == 1), "{micro}");
    for figure in ["cpu", "rate", "p50", "p99"] {
        both(micro, figure)?;
    }
    if calls::is_installed() && testkit::target::as_root() {
        for server in ["ours", "stock"] {
            let accepts = ["accept", "accept4"].map(|name| micro[0][server]["calls"][name].as_f64().unwrap_or(0.0));
            ensure!(accepts.iter().sum::<f64>() >= 0.9, "{server}: {micro}");
        }
    }
    Ok(())
}

#[test]
fn measures_new_workers_and_memory() -> Outcome {
    let Some(_) = Target::find_ours() else { return Ok(()) };
    let parts = run("fresh,memory", "hello")?;
    for server in ["ours", "stock"] {
        let first = |of: &str| parts["fresh"][0][server][of][0].as_f64().unwrap_or_default();
        ensure!(first("first") > 0.0 && first("life") > 0.0, "{server}: {}", parts["fresh"]);
        // Twenty processes and more than 5 MB.
        ensure!(parts["memory"][0][server][0].as_f64() > Some(5.0), "{server}: {}", parts["memory"]);
    }
    Ok(())
}

#[test]
fn measures_behind_a_web_server() -> Outcome {
    let Some(_) = Target::find_ours() else { return Ok(()) };
    if !Nginx::is_installed() {
        testkit::skip("needs nginx");
        return Ok(());
    }
    let parts = run("web,rates", "nginx TCP")?;
    for (part, figure) in [("web", "cpu"), ("web", "sleeps"), ("rates", "cpu"), ("rates", "p999")] {
        both(&parts[part], figure)?;
    }
    let [ours, stock] = both(&parts["rates"], "rate")?;
    ensure!((0.7..1.4).contains(&(ours / stock)), "the same rate: {ours:.0} and {stock:.0}");
    Ok(())
}
