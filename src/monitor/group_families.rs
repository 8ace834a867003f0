//! The metrics of groups: their zygotes and their opcode caches. Each pool of a group has what its own workers last saw of the cache.

use std::collections::BTreeMap;

use super::views::Pool;
use crate::engine::{CacheNumber, CodeCache};
use crate::metrics::{Exposition, Kind};
use crate::scoreboard::{CacheView, Counter};

/// A group.
struct Group<'a> {
    name: &'a str,
    zygotes: u64,
    /// What was seen last.
    cache: CacheView,
    /// The highest sums.
    rising: [u64; CodeCache::RISING],
}

impl Group<'_> {
    fn get(&self, number: CacheNumber) -> u64 {
        let rising = (number as usize).checked_sub(CodeCache::FIRST_RISING);
        rising.and_then(|at| self.rising.get(at)).copied().unwrap_or_else(|| self.cache.numbers.get(number))
    }
}

fn groups<'a>(pools: &'a [Pool<'_>]) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<&str, Group<'a>> = BTreeMap::new();
    for pool in pools {
        let name = pool.current.view.group.as_str();
        let empty = || Group { name, zygotes: 0, cache: CacheView::default(), rising: [0; CodeCache::RISING] };
        let group = groups.entry(name).or_insert_with(empty);
        group.zygotes = group.zygotes.max(pool.numbers.counter(Counter::ZygoteStarts));
        let cache = pool.current.totals.code_cache();
        if cache.seen >= group.cache.seen {
            group.cache = cache;
        }
        group.rising.iter_mut().zip(pool.numbers.cache).for_each(|(own, seen)| *own = seen.max(*own));
    }
    groups.into_values().collect()
}

/// Zygotes and opcode caches.
pub(super) fn of_groups(out: &mut Exposition, pools: &[Pool<'_>]) {
    use CacheNumber::{HashRestarts, Hits, Keys, KeysLimit, ManualRestarts, Misses, OomRestarts, Scripts, Strings};
    let groups = groups(pools);
    let mut each = |name: &str, kind, help: &str, value: &dyn Fn(&Group<'_>) -> u64| {
        out.family(name, kind, help);
        groups.iter().for_each(|group| out.sample(&[("group", group.name)], value(group)));
    };
    let (counter, gauge) = (Kind::Counter, Kind::Gauge);
    each("phpfpm_zygote_starts_total", counter, "Zygotes of the group that have started PHP.", &|group| group.zygotes);
    each("phpfpm_opcache_enabled", gauge, "Whether the last look has found an opcode cache in use.", &|group| {
        u64::from(group.cache.enabled)
    });
    each("phpfpm_opcache_scripts", gauge, "Scripts in the opcode cache.", &|group| group.get(Scripts));
    each("phpfpm_opcache_keys", gauge, "Paths by which scripts are found in the opcode cache.", &|group| {
        group.get(Keys)
    });
    each("phpfpm_opcache_keys_limit", gauge, "How many of them there may be.", &|group| group.get(KeysLimit));
    each("phpfpm_opcache_interned_strings", gauge, "Strings that scripts share.", &|group| group.get(Strings));
    let help = "Times that a script was found in the opcode cache, with those in former caches of the group.";
    each("phpfpm_opcache_hits_total", counter, help, &|group| group.get(Hits));
    let help = "Times that a script was not in the opcode cache, with those in former caches of the group.";
    each("phpfpm_opcache_misses_total", counter, help, &|group| group.get(Misses));
    let restarts = [("oom", OomRestarts), ("hash", HashRestarts), ("manual", ManualRestarts)];
    let help = "Restarts of the opcode cache: its memory was full, it had too many keys, or opcache_reset().";
    each_of(out, &groups, ("phpfpm_opcache_restarts_total", counter, help), "reason", &restarts);
    of_memory(out, &groups);
}

fn of_memory(out: &mut Exposition, groups: &[Group<'_>]) {
    use CacheNumber::{JitFree, JitSize, MemoryFree, MemoryUsed, MemoryWasted, StringsFree, StringsUsed};
    let help =
        "Memory of the opcode cache. That of scripts which have changed since is wasted until a restart of the cache.";
    let memory = [("used", MemoryUsed), ("free", MemoryFree), ("wasted", MemoryWasted)];
    each_of(out, groups, ("phpfpm_opcache_memory_bytes", Kind::Gauge, help), "state", &memory);
    let help = "Memory of the opcode cache for strings that scripts share.";
    let strings = [("used", StringsUsed), ("free", StringsFree)];
    each_of(out, groups, ("phpfpm_opcache_interned_strings_bytes", Kind::Gauge, help), "state", &strings);
    let help = "Memory for the machine code of the JIT; 0 without it.";
    out.family("phpfpm_opcache_jit_buffer_bytes", Kind::Gauge, help);
    for group in groups {
        let free = group.get(JitFree);
        let used = group.get(JitSize).saturating_sub(free);
        [("used", used), ("free", free)]
            .into_iter()
            .for_each(|(state, value)| out.sample(&[("group", group.name), ("state", state)], value));
    }
}

/// A family with samples for each group and each value of a label.
fn each_of(
    out: &mut Exposition,
    groups: &[Group<'_>],
    (name, kind, help): (&str, Kind, &str),
    label: &str,
    values: &[(&str, CacheNumber)],
) {
    out.family(name, kind, help);
    for group in groups {
        for (value, number) in values {
            out.sample(&[("group", group.name), (label, value)], group.get(*number));
        }
    }
}
