//! The numbers of the opcode cache, which workers look up between requests, and the memory of workers.

use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{Monitored, Samples, www};

/// What a script can see of a call of `opcache_get_status` before it.
const TRACE: &str = "<?php echo json_encode([memory_get_usage(), memory_get_peak_usage(), memory_get_usage(true),
    memory_get_peak_usage(true), error_get_last(), $_SERVER['SCRIPT_FILENAME'], gc_status()['roots'],
    opcache_get_status(false)['opcache_statistics']['hits']]);";

fn of_group(samples: &Samples, name: &str, labels: &str) -> f64 {
    let labels = if labels.is_empty() { String::new() } else { format!(",{labels}") };
    samples.get(&format!("{name}{{group=\"www\"{labels}}}")).copied().unwrap_or(f64::NAN)
}

fn started(target: &Target, setup: &Setup) -> Outcome<Monitored> {
    let sandbox = Sandbox::new()?;
    sandbox.put("www/trace.php", TRACE)?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], testkit::sandbox::free_port()?));
    let server = Server::start_in(sandbox, target, &setup.clone().global(&format!("monitor.listen = {address}")))?;
    Ok(Monitored { server, address })
}

/// Sends requests until the numbers are there. The answers, all of one worker.
fn seen(monitored: &Monitored, page: &str) -> Outcome<Vec<String>> {
    let request = Request::get(&monitored.server.sandbox.page(page));
    let mut answers = Vec::new();
    let mut ask = || -> Outcome<bool> {
        answers.push(ask_once(&monitored.server.address, &request, ms(5000))?);
        Ok(of_group(&monitored.samples()?, "phpfpm_opcache_enabled", "") == 1.0)
    };
    wait_until("the numbers of the cache", bar(ms(8000)), || ask().unwrap_or(false))?;
    for _ in 0..3 {
        ask()?;
    }
    Ok(answers)
}

#[test]
fn no_script_notices_it() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = started(&target, &Setup::new(1))?;
    let texts = seen(&monitored, "trace.php")?;
    let parts: Option<Vec<(&str, i64)>> =
        texts.iter().map(|text| text.rsplit_once(',')).map(|parts| Some((parts?.0, hits(parts?.1)?))).collect();
    // The first request compiles the script. The one after the call would differ from later ones.
    let parts = parts.ok_or_else(|| format!("{texts:?}"))?.split_off(1);
    ensure!(parts.len() > 2, "{texts:?}");
    ensure!(parts.windows(2).all(|two| two[0].0 == two[1].0 && two[1].1 - two[0].1 == 1), "{texts:?}");
    let samples = monitored.samples()?;
    let of_memory = |state: &str| of_group(&samples, "phpfpm_opcache_memory_bytes", &format!("state=\"{state}\""));
    ensure!(of_memory("used") > 1e6 && of_memory("free") > 1e6 && of_memory("wasted") == 0.0, "{samples:#?}");
    ensure!(of_group(&samples, "phpfpm_opcache_scripts", "") >= 1.0, "{samples:#?}");
    ensure!(of_group(&samples, "phpfpm_opcache_interned_strings", "") > 100.0, "{samples:#?}");
    ensure!(of_group(&samples, "phpfpm_opcache_restarts_total", "reason=\"oom\"") == 0.0, "{samples:#?}");
    ensure!(of_group(&samples, "phpfpm_zygote_starts_total", "") == 1.0, "{samples:#?}");
    let private = www(&samples, "phpfpm_memory_bytes", "kind=\"private\"");
    ensure!((1e5..1e8).contains(&private), "{private}");
    monitored.server.stop()
}

fn hits(text: &str) -> Option<i64> {
    text.trim_end_matches(']').parse().ok()
}

/// The function is taken from scripts, and the directory of no script may ask. And the next zygote's cache goes on with the counters.
#[test]
fn settings_against_scripts_and_a_reload() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let setup = Setup::new(1).ini("disable_functions = opcache_get_status").ini("opcache.restrict_api = /nowhere");
    let monitored = started(&target, &setup)?;
    seen(&monitored, "hello.php")?;
    let misses = |samples: &Samples| of_group(samples, "phpfpm_opcache_misses_total", "");
    let before = misses(&monitored.samples()?);
    ensure!(before >= 1.0, "{before}");
    monitored.server.reload()?;
    wait_until("the next monitor answers", bar(ms(3000)), || monitored.samples().is_ok())?;
    let after = monitored.samples()?;
    ensure!(misses(&after) >= before, "{before}, then {after:#?}");
    let log = monitored.server.log.text();
    ensure!(!log.contains("restrict_api"), "{log}");
    monitored.server.stop()
}
