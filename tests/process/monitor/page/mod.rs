//! The page for people, in a real browser.

mod chromium;

use serde_json::json;
use testkit::clock::ms;
use testkit::fastcgi::{Client, Request};
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, skip, turn};

use super::Monitored;
use chromium::Chromium;

/// The figures that Rust writes (src/monitor/page/format.rs), written by the script.
const FIGURES: &str = include_str!("../../../../src/monitor/page/values.json");

const HOSTILE: &str = "how=wait&seconds=60&x=<img src=x onerror=alert(1)>\"'{name}";

/// What differs between the page as the server has written it, and as the script has. `""`: nothing.
const DIFFERENCE: &str = r"(async () => {
    const plain = (page, place) => page.querySelector(place)?.outerHTML.replace(/\s+/g, ' ').replace(/> </g, '><')
        .replace(/[0-9.]+ (ms|s|min)/g, '');
    const [all, text] = [await (await fetch(from)).json(), await (await fetch('')).text()];
    const served = new DOMParser().parseFromString(text, 'text/html');
    show(all);
    const places = ['#head', '.pools', '#events', '#figures', '#cells', '#workers', '#running', '#answers', '#exits'];
    return places.filter((place) => plain(document, place) !== plain(served, place))
        .map((place) => plain(document, place) + ' for ' + plain(served, place)).join();
})()";

/// All of it in one browser, since it takes a second to start.
#[test]
fn in_a_browser() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    if !chromium::is_installed() {
        ensure!(std::env::var("CI").as_deref() != Ok("true"), "chromium is needed");
        skip("chromium is not installed");
        return Ok(());
    }
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(2).global("monitor.show_requests = yes"))?;
    let server = &monitored.server;
    let mut browser = Chromium::start()?;
    let url = format!("http://{}/", monitored.address);

    browser.visit(&url)?;
    browser.wait("the script runs", "document.getElementById('live').textContent.startsWith('Live')")?;
    browser.wait("no worker is busy", "document.querySelector('.pool').innerText.includes('0 of 2')")?;
    let slow = Request::get(&server.sandbox.page("slow.php")).param("QUERY_STRING", HOSTILE);
    let mut busy = Client::connect(&server.address, ms(10_000))?;
    busy.send(&slow.encode(1))?;
    browser
        .wait("the start is an event", "document.getElementById('events').innerText.includes('php-fpm has started')")?;
    browser.wait("one is", "document.querySelector('.pool').innerText.includes('1 of 2')")?;
    fits(&mut browser)?;

    // By the link, as a reader goes there.
    browser.value("document.querySelector('.pool a').click()")?;
    let there = format!("location.href === '{url}pools/www' && document.readyState === 'complete'");
    browser.wait("the page of the pool", &there)?;
    browser.wait("the script runs", "document.getElementById('live').textContent.startsWith('Live')")?;
    let request =
        format!("document.querySelector('#running bdi')?.textContent === 'GET /slow.php?' + {}", json!(HOSTILE));
    browser.wait("the request that runs", &request)?;
    fits(&mut browser)?;
    drop(busy);
    let ended = "[...document.querySelectorAll('#answers tr')].some((row) => /^all\\s+[1-9]/.test(row.innerText))";
    server.says_hello(&server.address)?;
    browser.wait("it counts a request", ended)?;

    figures(&mut browser)?;
    ensure!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    drop(browser);
    monitored.server.stop()
}

/// Nothing is wider than a phone, and the script writes what the server does.
fn fits(browser: &mut Chromium) -> Outcome {
    let (width, all) = (browser.value("document.scrollingElement.scrollWidth")?, browser.value("innerWidth")?);
    ensure!(width == 360 && all == 360, "{width} of {all}");
    browser.wait(
        "the server writes the same",
        &format!("{DIFFERENCE}.then((difference) => difference === '' || difference)"),
    )
}

fn figures(browser: &mut Chromium) -> Outcome {
    let wrong = browser.value(&format!(
        "{FIGURES}.map(([name, value, wanted]) => [name, value, wanted, window[name](value).replaceAll('\\u202f', '_')])
            .filter(([, , wanted, written]) => wanted !== written)"
    ))?;
    ensure!(wrong == json!([]), "{wrong:#}");
    Ok(())
}
