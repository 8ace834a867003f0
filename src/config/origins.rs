//! Where sections begin and directives are set: php-fpm's complaints about a whole section don't say it.

use super::directives::{Directive, GLOBAL_DIRECTIVES, POOL_DIRECTIVES};

/// Of all files of a configuration; places are `[FILE:LINE]`.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// Pools, with where they begin.
    pools: Vec<(String, String)>,
    /// Pool or `[global]`, directive, place: the last one counts.
    entries: Vec<(Option<String>, String, String)>,
    /// The section that is being read.
    current: Option<String>,
}

impl Origins {
    /// `[name]`; a pool that comes again began where it came first.
    pub(crate) fn section(&mut self, name: &str, place: &str) {
        self.current = (!name.eq_ignore_ascii_case("global")).then(|| name.to_ascii_lowercase());
        if let Some(pool) = &self.current
            && !self.pools.iter().any(|(known, _)| known == pool)
        {
            self.pools.push((pool.clone(), place.to_owned()));
        }
    }

    /// `name = …` in the present section.
    pub(crate) fn entry(&mut self, name: &str, place: &str) {
        self.entries.push((self.current.clone(), name.to_ascii_lowercase(), place.to_owned()));
    }

    /// For a complaint about a pool or `[global]`: where the directives that it names are set, or else where the pool begins.
    pub(crate) fn hints(&self, pool: Option<&str>, complaint: &str) -> Vec<String> {
        let pool = pool.map(str::to_ascii_lowercase);
        let table = if pool.is_some() { POOL_DIRECTIVES } else { GLOBAL_DIRECTIVES };
        let words = words(complaint);
        let named = table.iter().filter(|directive| is_named(directive, &words));
        let set = named.filter_map(|directive| {
            let (_, name, place) =
                self.entries.iter().rev().find(|(of, name, _)| *of == pool && *name == directive.name)?;
            Some(format!("{place} hint: {name} is set here"))
        });
        let mut hints: Vec<String> = set.collect();
        if hints.is_empty() {
            let pool = self.pools.iter().find(|(name, _)| Some(name) == pool.as_ref());
            hints.extend(pool.map(|(name, place)| format!("{place} hint: [{name}] begins here")));
        }
        hints
    }
}

/// A complaint without values: what stands in parentheses, and in quotes unless it is a name.
fn words(complaint: &str) -> String {
    let mut words = String::from(" ");
    for (index, part) in complaint.split('\'').enumerate() {
        let is_name = POOL_DIRECTIVES.iter().any(|directive| directive.name == part);
        if index % 2 == 0 || is_name {
            words += part
                .split('(')
                .map(|part| part.rsplit(')').next().unwrap_or(part))
                .collect::<Vec<_>>()
                .join(" ")
                .as_str();
        }
        words.push(' ');
    }
    words.chars().map(|c| if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { ' ' }).collect()
}

/// By its name, or by how php-fpm says it: `the ping path`, `the status path`, `process_max`, `access log`.
fn is_named(directive: &Directive, words: &str) -> bool {
    let name = directive.name;
    let spoken = name.strip_prefix("pm.").unwrap_or(name).replace(['.', '_'], " ");
    [name, &name.replace('.', "_"), &spoken].iter().any(|name| words.contains(&format!(" {name} ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        let mut origins = Origins::default();
        origins.entry("process.max", "[f:1]");
        origins.section("WWW", "[f:2]");
        for (name, place) in [("user", "[f:3]"), ("Chdir", "[f:4]"), ("chdir", "[f:5]"), ("ping.path", "[f:6]")] {
            origins.entry(name, place);
        }
        origins.section("b", "[f:7]");
        origins.entry("slowlog", "[f:8]");
        origins.section("Global", "[f:9]");
        origins.entry("log_limit", "[f:10]");
        origins
    }

    #[test]
    fn the_directives_that_are_meant_are_found() {
        let hints = |pool, text| origins().hints(pool, text).join("; ");
        let www = Some("www");
        assert_eq!(hints(www, "the chdir path '/user/x' does not exist"), "[f:5] hint: chdir is set here");
        assert_eq!(hints(www, "the ping path 'x' must start with a '/'"), "[f:6] hint: ping.path is set here");
        assert_eq!(hints(www, "pm.max_children must be a positive value"), "[f:2] hint: [www] begins here");
        assert_eq!(hints(None, "process_max can't be negative"), "[f:1] hint: process.max is set here");
        assert_eq!(hints(None, "log_limit must be greater than 512"), "[f:10] hint: log_limit is set here");
        assert_eq!(
            hints(Some("b"), "'slowlog' must be specified for 'request_slowlog_timeout'"),
            "[f:8] hint: slowlog is set here"
        );
        assert_eq!(hints(Some("b"), "Unable to create or open slowlog(/user): x"), "[f:8] hint: slowlog is set here");
        assert_eq!((hints(None, "No pool defined."), hints(Some("x"), "y")), (String::new(), String::new()));
    }
}
