//! Settings that the web server sends with a request: for that request, as far as the pool trusts it.
#![forbid(unsafe_code)]

use testkit::clock::ms;
use testkit::fastcgi::{Client, Request};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

#[test]
fn as_far_as_the_pool_trusts_and_no_longer() -> Outcome {
    let Some(target) = Target::find_ours("request_ini::as_far_as_the_pool_trusts_and_no_longer") else { return Ok(()) };
    let _turn = turn::shared()?;
    for (trust, wanted, complaints) in [("on", "5 77M", 0), ("user", "5 128M", 1), ("off", "14 128M", 2)] {
        let setup = Setup::new(1).pool(&format!("security.fastcgi_php_value = {trust}"));
        let server = Server::start(&target, &setup)?;
        server.sandbox.put("www/ini.php", "<?php echo ini_get('precision'), ' ', ini_get('memory_limit');")?;
        let request = Request::get(&server.sandbox.page("ini.php"));
        let sent = request.clone().param("PHP_VALUE", "precision=5").param("PHP_ADMIN_VALUE", "memory_limit=77M");
        let ask = |request: &Request| Client::connect(&server.address, ms(10_000))?.ask(request);
        // Compiled first without: opcache puts the value of an admin setting into the code of `ini_get('its name')`.
        ensure!(ask(&request)?.body() == "14 128M", "{trust}: other defaults than expected");
        let answer = ask(&sent)?;
        ensure!(answer.body() == wanted, "{trust}: {}", answer.body());
        let said = String::from_utf8_lossy(&answer.stderr).matches("isn't taken here").count();
        ensure!(said == complaints, "{trust}: {}", String::from_utf8_lossy(&answer.stderr));
        let next = ask(&request)?.body();
        ensure!(next == "14 128M", "{trust}: the next request has {next}");
        server.stop()?;
    }
    Ok(())
}
