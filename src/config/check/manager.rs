//! The rules of `pm` and the numbers of workers.

use super::Check;
use crate::config::directives::PoolDirective as Key;
use crate::config::message::Refused;
use crate::config::raw::RawPool;
use crate::config::types::ProcessManager;
use crate::log::messages::config::{backlog_raised, start_servers_chosen};
use crate::log::messages::config_pools::PoolError;

/// The default of `listen.backlog`.
const DEFAULT_BACKLOG: i32 = -1;

impl Check<'_> {
    pub(super) fn manager(&mut self, pool: &mut RawPool, events: Option<&str>) -> Result<(), Refused> {
        let Some(manager) = pool.values.process_manager(Key::Pm) else {
            return self.refuse_pool(pool, &PoolError::NoManager { pool: pool.name.clone() });
        };
        if pool.values.integer(Key::PmMaxChildren) < 1 {
            return self.refuse_pool(pool, &PoolError::MaxChildren { pool: pool.name.clone() });
        }
        match manager {
            ProcessManager::Static => Ok(()),
            ProcessManager::Dynamic => self.dynamic(pool),
            ProcessManager::Ondemand => self.ondemand(pool, events),
        }
    }

    fn dynamic(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        if let Err(error) = spare_servers(pool) {
            return self.refuse_pool(pool, &error);
        }
        let start = pool.values.integer(Key::PmStartServers);
        let (min, max) = spares(pool);
        if start <= 0 {
            let start = min + (max - min) / 2;
            pool.values.set_integer(Key::PmStartServers, start);
            self.messages.log(start_servers_chosen(&pool.name, start));
        } else if start < min || start > max {
            return self.refuse_pool(pool, &PoolError::StartServers { pool: pool.name.clone(), start, min, max });
        }
        if pool.values.integer(Key::PmMaxSpawnRate) < 1 {
            return self.refuse_pool(pool, &PoolError::SpawnRate { pool: pool.name.clone() });
        }
        Ok(())
    }

    fn ondemand(&mut self, pool: &mut RawPool, events: Option<&str>) -> Result<(), Refused> {
        if events != Some("epoll") {
            return self.refuse_pool(pool, &PoolError::OndemandEvents { pool: pool.name.clone() });
        }
        let idle = pool.values.integer(Key::PmProcessIdleTimeout);
        if idle < 1 {
            return self.refuse_pool(pool, &PoolError::IdleTimeout { pool: pool.name.clone(), idle });
        }
        let backlog = pool.values.integer(Key::ListenBacklog);
        if backlog < DEFAULT_BACKLOG {
            self.messages.log(backlog_raised(&pool.name, backlog, DEFAULT_BACKLOG));
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

fn spare_servers(raw: &RawPool) -> Result<(), PoolError> {
    let (min, max) = spares(raw);
    let most = raw.values.integer(Key::PmMaxChildren);
    let pool = raw.name.clone();
    if min <= 0 {
        return Err(PoolError::MinSpare { pool, min });
    }
    if max <= 0 {
        return Err(PoolError::MaxSpare { pool, max });
    }
    if min > most || max > most {
        return Err(PoolError::TooManySpare { pool, min, max, most });
    }
    if max < min {
        return Err(PoolError::SpareOrder { pool, min, max });
    }
    Ok(())
}
