//! The process manager with an engine without PHP, for tests of processes:
//! it answers every request with its pid; `SLEEP=ms` in the query string delays the answer.

use std::path::PathBuf;
use std::time::Duration;

use cgi_fpm::config::PoolConfig;
use cgi_fpm::engine::{Engine, EngineError, EngineOptions, Request, Served, StartSteps, Topic, Tracer};
use cgi_fpm::host::{Door, Host};
use cgi_fpm::program;

struct Stub;

impl Engine for Stub {
    fn start(&mut self, options: &EngineOptions, steps: &mut dyn StartSteps) -> Result<(), EngineError> {
        steps.after_ini(&Vec::new)?;
        steps.extensions_loaded()?;
        steps.before_user_code()?;
        match options.defines.iter().any(|d| d == "stub.broken=1") {
            true => Err(EngineError::Failed("told to be broken".to_owned())),
            false => Ok(()),
        }
    }

    fn enter_pool(&mut self, _pool: &PoolConfig) -> Result<(), EngineError> {
        Ok(())
    }

    fn serve(&mut self, request: Request<'_>) -> Served {
        let exchange = request.exchange;
        let mut buffer = [0u8; 16 * 1024];
        while exchange.read_body(&mut buffer) > 0 {}
        let query = exchange.params().get(b"QUERY_STRING").map(|q| String::from_utf8_lossy(q).into_owned());
        if let Some(ms) = query.as_deref().and_then(|q| q.strip_prefix("SLEEP=")).and_then(|ms| ms.parse().ok()) {
            std::thread::sleep(Duration::from_millis(ms));
        }
        let answer = format!("Content-type: text/plain\r\n\r\n{}", std::process::id());
        let _ = exchange.write(answer.as_bytes());
        Served::Ready
    }

    fn powered_by(&self) -> Option<String> {
        None
    }

    fn release(&self) -> (u16, u16) {
        (8, 2)
    }

    fn describe(
        &mut self,
        _topic: Topic,
        _options: &EngineOptions,
        _steps: &mut dyn StartSteps,
    ) -> Result<(), EngineError> {
        Ok(())
    }

    fn tracer(&self) -> std::io::Result<Box<dyn Tracer>> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn release_memory(&mut self) {}

    fn stop(&mut self) {}
}

fn main() -> std::process::ExitCode {
    // SAFETY: main has just begun. It has one thread and has opened no file.
    unsafe { cgi_fpm::sys::startup::begin() };
    let args: Vec<_> = std::env::args_os().collect();
    let host = Host {
        program: std::fs::read_link("/proc/self/exe").unwrap_or_else(|_| PathBuf::from(&args[0])),
        door: Door::Patched,
        library: PathBuf::new(),
        args,
        php_version: "8.2.0".to_owned(),
        module_api: 20_220_829,
        php_prefix: "/usr".into(),
        sysconf_dir: "/etc".into(),
        local_state_dir: "/var".into(),
        default_ini: None,
    };
    let status = program::run(host, &mut Stub);
    std::process::ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}
