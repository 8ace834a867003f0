//! The end of extensions when a worker exits.
#![forbid(unsafe_code)]

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::extension;
use testkit::fastcgi::ask_once;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// An extension that keeps a persistent resource, and writes a letter for each end that it sees.
const ENDS: &str = r#"
#include <fcntl.h>
#include <unistd.h>
#include "php.h"
static int kind;
static void end(const char *letter) {
    char path[400];
    snprintf(path, sizeof path, "OUT/%d", (int) getpid());
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (file >= 0 && write(file, letter, 1) == 1) close(file);
}
static void closed(zend_resource *resource) { end("r"); }
PHP_MINIT_FUNCTION(ends) {
    kind = zend_register_list_destructors_ex(NULL, closed, "ends", module_number);
    return SUCCESS;
}
PHP_RINIT_FUNCTION(ends) {
    zend_register_persistent_resource("ends", 4, &kind, kind);
    return SUCCESS;
}
PHP_MSHUTDOWN_FUNCTION(ends) { end("m"); return SUCCESS; }
zend_module_entry ends_module_entry = { STANDARD_MODULE_HEADER, "ends", NULL, PHP_MINIT(ends), PHP_MSHUTDOWN(ends),
    PHP_RINIT(ends), 0, 0, "1", STANDARD_MODULE_PROPERTIES };
ZEND_GET_MODULE(ends)
"#;

/// A worker that exits closes persistent resources, as connections to databases, and then ends its extensions, each once.
#[test]
fn a_worker_ends_its_extensions() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let out = sandbox.web_dir("www/out")?;
    let extension = extension::build(&target, &sandbox, "ends", &ENDS.replace("OUT", &out.display().to_string()))?;
    let setup = Setup::new(1).ini(&format!("extension = {}", extension.display()));
    let server = Server::spawn_in(sandbox, &target, &setup)?;
    wait_until("a worker", ms(10_000), || server.workers().len() == 1)?;
    ensure!(ask_once(&server.address, &server.hello(), ms(10_000))? == "hello", "a request");
    let worker = server.workers().into_iter().next().ok_or("no worker")?;
    worker.signal(Signal::SIGQUIT);
    wait_until("its end", ms(10_000), || !worker.lives())?;
    let ends = std::fs::read_to_string(out.join(worker.pid.to_string()))?;
    ensure!(ends == "rm", "{ends}");
    server.stop()
}
