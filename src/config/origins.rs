//! Where sections start and directives are set, which php-fpm's messages about the rules of a section do not say.

use crate::log::messages::config_values::Hint;

/// Of all files of a configuration; places are `[FILE:LINE]`.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// The pools, in lower case, and where each starts.
    pools: Vec<(String, String)>,
    /// Pool (`None`: `[global]`), directive, place. The last one counts.
    entries: Vec<(Option<String>, String, String)>,
    /// The section that is being read.
    current: Option<String>,
}

impl Origins {
    /// `[name]`. A pool that is continued later started where it was first.
    pub(crate) fn section(&mut self, name: &str, place: &str) {
        self.current = (!name.eq_ignore_ascii_case("global")).then(|| name.to_ascii_lowercase());
        if let Some(pool) = &self.current
            && !self.pools.iter().any(|(known, _)| known == pool)
        {
            self.pools.push((pool.clone(), place.to_owned()));
        }
    }

    /// `name = …` in the current section.
    pub(crate) fn entry(&mut self, name: &str, place: &str) {
        self.entries.push((self.current.clone(), name.to_ascii_lowercase(), place.to_owned()));
    }

    /// Where the directives that a rule is about are set in a pool or in `[global]`. If none of them is set, where the pool
    /// starts. Each is a place and the hint for it.
    pub(crate) fn hints(&self, pool: Option<&str>, directives: &[&str]) -> Vec<(&str, Hint)> {
        let pool = pool.map(str::to_ascii_lowercase);
        let set = directives.iter().filter_map(|directive| {
            let mut entries = self.entries.iter().rev();
            let (_, name, place) = entries.find(|(of, name, _)| *of == pool && name == directive)?;
            Some((place.as_str(), Hint::SetHere { name: name.clone() }))
        });
        let mut hints: Vec<_> = set.collect();
        if hints.is_empty() {
            let pool = self.pools.iter().find(|(name, _)| Some(name) == pool.as_ref());
            hints.extend(pool.map(|(name, place)| (place.as_str(), Hint::StartsHere { pool: name.clone() })));
        }
        hints
    }
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
    fn hints_lead_to_the_directives_or_to_the_pool() {
        let origins = origins();
        let hints = |pool, directives: &[&str]| {
            let hints = origins.hints(pool, directives).into_iter().map(|(place, hint)| format!("{place} {hint}"));
            hints.collect::<Vec<_>>().join("; ")
        };
        let www = Some("www");
        assert_eq!(hints(www, &["chdir"]), "[f:5] chdir is set here");
        assert_eq!(hints(www, &["ping.path", "user"]), "[f:6] ping.path is set here; [f:3] user is set here");
        assert_eq!(hints(www, &["pm.max_children"]), "[f:2] [www] starts here");
        assert_eq!(hints(None, &["process.max"]), "[f:1] process.max is set here");
        assert_eq!(hints(None, &["log_limit"]), "[f:10] log_limit is set here");
        assert_eq!(hints(Some("b"), &["slowlog", "request_slowlog_timeout"]), "[f:8] slowlog is set here");
        assert_eq!((hints(None, &[]), hints(Some("x"), &[])), (String::new(), String::new()));
    }
}
