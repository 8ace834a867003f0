//! The rules of `pm` and the numbers of workers.

use super::Check;
use crate::config::directives::PoolDirective as Key;
use crate::config::message::Refused;
use crate::config::raw::RawPool;
use crate::config::types::ProcessManager;
use crate::log;

/// `listen.backlog` if nothing is said.
const DEFAULT_BACKLOG: i32 = -1;

impl Check<'_> {
    pub(super) fn manager(&mut self, pool: &mut RawPool, events: Option<&str>) -> Result<(), Refused> {
        let Some(manager) = pool.values.process_manager(Key::Pm) else {
            let text = "the process manager is missing (static, dynamic or ondemand)";
            return self.refuse_pool(log::Level::Alert, pool, text);
        };
        if pool.values.integer(Key::PmMaxChildren) < 1 {
            return self.refuse_pool(log::Level::Alert, pool, "pm.max_children must be a positive value");
        }
        match manager {
            ProcessManager::Static => Ok(()),
            ProcessManager::Dynamic => self.dynamic(pool),
            ProcessManager::Ondemand => self.ondemand(pool, events),
        }
    }

    fn dynamic(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        if let Err(text) = spare_servers(pool) {
            return self.refuse_pool(log::Level::Alert, pool, &text);
        }
        let start = pool.values.integer(Key::PmStartServers);
        let (min, max) = spares(pool);
        if start <= 0 {
            let start = min + (max - min) / 2;
            pool.values.set_integer(Key::PmStartServers, start);
            let text = format!("[pool {}] pm.start_servers is not set. It's been set to {start}.", pool.name);
            self.messages.log(log::Level::Notice, text);
        } else if start < min || start > max {
            let text = format!(
                "pm.start_servers({start}) must not be less than pm.min_spare_servers({min}) and not greater than pm.max_spare_servers({max})"
            );
            return self.refuse_pool(log::Level::Alert, pool, &text);
        }
        if pool.values.integer(Key::PmMaxSpawnRate) < 1 {
            return self.refuse_pool(log::Level::Alert, pool, "pm.max_spawn_rate must be a positive value");
        }
        Ok(())
    }

    fn ondemand(&mut self, pool: &mut RawPool, events: Option<&str>) -> Result<(), Refused> {
        if events != Some("epoll") {
            let text = "ondemand process manager can ONLY be used when events.mechanism is either epoll (Linux) or kqueue (*BSD).";
            return self.refuse_pool(log::Level::Alert, pool, text);
        }
        let idle = pool.values.integer(Key::PmProcessIdleTimeout);
        if idle < 1 {
            let text = format!("pm.process_idle_timeout({idle}s) must be greater than 0s");
            return self.refuse_pool(log::Level::Alert, pool, &text);
        }
        let backlog = pool.values.integer(Key::ListenBacklog);
        if backlog < DEFAULT_BACKLOG {
            let text = format!(
                "[pool {}] listen.backlog({backlog}) was too low for the ondemand process manager. I updated it for you to {DEFAULT_BACKLOG}.",
                pool.name
            );
            self.messages.log(log::Level::Warning, text);
            pool.values.set_integer(Key::ListenBacklog, DEFAULT_BACKLOG);
        }
        for key in [Key::PmStartServers, Key::PmMinSpareServers, Key::PmMaxSpareServers] {
            pool.values.set_integer(key, 0);
        }
        Ok(())
    }
}

fn spares(pool: &RawPool) -> (i32, i32) {
    (pool.values.integer(Key::PmMinSpareServers), pool.values.integer(Key::PmMaxSpareServers))
}

fn spare_servers(pool: &RawPool) -> Result<(), String> {
    let (min, max) = spares(pool);
    let most = pool.values.integer(Key::PmMaxChildren);
    if min <= 0 {
        return Err(format!("pm.min_spare_servers({min}) must be a positive value"));
    }
    if max <= 0 {
        return Err(format!("pm.max_spare_servers({max}) must be a positive value"));
    }
    if min > most || max > most {
        return Err(format!(
            "pm.min_spare_servers({min}) and pm.max_spare_servers({max}) cannot be greater than pm.max_children({most})"
        ));
    }
    if max < min {
        return Err(format!("pm.max_spare_servers({max}) must not be less than pm.min_spare_servers({min})"));
    }
    Ok(())
}
