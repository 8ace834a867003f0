//! PHP as an [`Engine`]. Names of PHP's C code are used in this folder only.

mod body;
mod body_reader;
mod body_stream;
mod borrow;
mod code_cache;
mod context;
#[cfg(feature = "differential")]
mod differential;
mod error_header;
mod extension;
mod ffi;
mod form;
mod form_memory;
mod form_stream;
mod functions;
mod guard;
mod headers;
mod host;
mod idle;
mod ini;
mod input_filter;
mod leftovers;
mod lifecycle;
mod log;
mod memory;
mod module;
mod multipart;
mod multipart_events;
mod multipart_file;
mod multipart_parts;
mod multipart_progress;
mod multipart_register;
mod multipart_state;
mod names;
mod pool;
mod realpath_cache;
mod report;
mod request_info;
mod request_ini;
mod sapi;
mod serve;
mod server_keys;
mod settings;
mod start_files;
mod start_steps;
mod status;
mod status_entries;
mod stdout;
mod structures;
mod symbols;
mod text;
mod trace;
mod trusted;
mod user_ini;
mod value;
mod variables;
mod warm_up;
mod zend_string;

pub(crate) use host::{LOCALSTATEDIR, ModuleApi, PREFIX, SYSCONFDIR, check_host, is_host, module_api, version};

use crate::config::PoolConfig;
use crate::engine::{CodeCache, Engine, EngineError, EngineOptions, Request, Served, StartSteps, Topic, Tracer};
use crate::sys::process;
use crate::sys::working_directory::WorkingDirectory;

/// PHP. There is one per process, and [`check_host`] must have succeeded.
#[derive(Debug, Default)]
pub(crate) struct Php {
    context: Box<context::Context>,
    around: serve::Surroundings,
    /// A request without a script was the last one.
    warmed: bool,
}

impl Engine for Php {
    fn start(&mut self, options: &EngineOptions, steps: &mut dyn StartSteps) -> Result<(), EngineError> {
        // Not in `lifecycle::start`: `-m` prints its list first, as php-fpm does.
        let started = lifecycle::start(options, false, steps);
        stdout::flush_stdout();
        // A timer that a preloaded script has set would end the zygote.
        leftovers::stop_timer();
        started
    }

    fn enter_pool(&mut self, pool: &PoolConfig) -> Result<(), EngineError> {
        self.around.trust = pool.security_fastcgi_php_value;
        self.around.extensions = pool.security_limit_extensions.iter().map(|text| text.clone().into_bytes()).collect();
        self.around.directory = WorkingDirectory::present();
        self.around.root.clone_from(&pool.chroot);
        pool::apply(&pool.name, &pool.php_settings);
        // Once more, for extensions that only this pool loads.
        leftovers::take_over();
        leftovers::begin();
        lifecycle::enter_worker(self.around.directory.is_some());
        variables::take_over();
        body_stream::take_over();
        form::take_over();
        multipart::take_over();
        input_filter::take_over();
        realpath_cache::begin();
        Ok(())
    }

    fn serve(&mut self, request: Request<'_>) -> Served {
        leftovers::unblock();
        if std::mem::take(&mut self.warmed) {
            warm_up::before_first_request();
        }
        self.context.enter(request);
        let served = serve::serve(&self.around);
        self.context.leave();
        lifecycle::keep_signal_handlers();
        match served {
            Served::Ready => leftovers::take_back(self.around.directory.as_ref()),
            other => other,
        }
    }

    fn powered_by(&self) -> Option<String> {
        lifecycle::exposes_itself().then(|| format!("PHP/{}", lifecycle::running_version()))
    }

    fn release(&self) -> (u16, u16) {
        let version = lifecycle::running_version();
        let mut numbers = version.split('.').map(|n| n.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    fn describe(
        &mut self,
        topic: Topic,
        options: &EngineOptions,
        steps: &mut dyn StartSteps,
    ) -> Result<(), EngineError> {
        match topic {
            Topic::Version => report::print_version(options, steps),
            Topic::Info => report::print_information(options, steps),
            Topic::Modules => report::print_modules(options, steps),
        }
    }

    fn tracer(&self) -> std::io::Result<Box<dyn Tracer>> {
        Ok(Box::new(trace::Walker::new()?))
    }

    fn warm_up(&mut self) -> Served {
        let Ok(ran) = warm_up::run() else {
            // Most likely the next worker fails as well.
            std::thread::sleep(warm_up::PAUSE);
            return Served::Spent;
        };
        self.warmed = ran;
        lifecycle::keep_signal_handlers();
        Served::Ready
    }

    fn clear_file_caches(&mut self) {
        realpath_cache::clear();
        user_ini::forget();
    }

    fn release_memory(&mut self) {
        idle::release_memory();
    }

    fn code_cache(&mut self) -> Option<CodeCache> {
        code_cache::numbers()
    }

    fn stop(&mut self) {
        lifecycle::end_extensions();
    }

    fn exit(&mut self, status: i32) -> i32 {
        // A PHP in debug mode may be built with tools that report at the exit what they have found.
        if cfg!(php_debug) { status } else { process::exit_flushed(status) }
    }
}
