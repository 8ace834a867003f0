//! The samples of docs/scripts.md, unchanged.
#![forbid(unsafe_code)]

use std::time::Instant;

use testkit::clock::{ms, wait_until};
use testkit::nginx::{Nginx, Upstream};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::blocks;

/// The first block of that kind.
fn sample(kind: &str) -> Outcome<String> {
    Ok(blocks("docs/scripts.md", kind)?.into_iter().next().ok_or("no sample")?)
}

#[test]
fn they_do_what_is_said() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let turn = turn::alone()?;
    let ini = sample("ini")?;
    let setup = ini.lines().fold(Setup::new(2).ini("display_errors = 1"), |setup, line| setup.ini(line));
    let server = Server::start(&target, &setup)?;
    let video = server.sandbox.file("out/video");
    let convert = format!("function convert_the_video() {{ sleep(1); touch('{}'); }}\n", video.display());
    server.sandbox.put("www/thanks.php", &format!("<?php\n{convert}{}", sample("php")?))?;
    server.sandbox.put("www/fails.php", "<?php no_such_function();")?;
    let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(2))?;
    let (mut web, start) = (nginx.client(ms(10_000)), Instant::now());
    let answer = web.get("/thanks.php")?.expect(200)?.text();
    turn.expect_within("the answer", start.elapsed(), ms(600))?;
    ensure!(answer == "Thank you. The video will be there in a minute.", "{answer:?}");
    ensure!(!video.exists(), "it was done before the answer");
    wait_until("the video", ms(5000), || video.exists())?;
    let status = web.get("/fails.php")?.status;
    ensure!(status == 550, "{status}");
    server.stop()
}
