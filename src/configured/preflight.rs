//! Before a start: checks that PHP can start in each group of pools. As root, PHP's files must be readable by the pools' users:
//! php-fpm starts PHP as root. Children do the check, because this process neither runs PHP nor changes its user. They have a time
//! limit.

use std::io::Write;
use std::time::{Duration, Instant};

use super::child::in_child;
use super::descriptors;
use super::groups_of::{Group, groups_of};
use super::inquiry::{self, Inquiry, Question};
use super::own_ini;
use super::programs::{Chosen, Programs};
use super::start_files;
use crate::cli::Options;
use crate::config::{self, ConfigError, EngineKey, LoadOptions, Loaded, PoolPaths};
use crate::engine::{Engine, EngineOptions, StartFile};
use crate::host::Host;
use crate::log::{Level, Message};
use crate::sys::ids::{self, Identity};

/// For PHP to read php.ini.
const INI_LIMIT: Duration = Duration::from_secs(15);
/// For the check of one user, who could stop the child that checks; and for all users together.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
const ALL_LIMIT: Duration = Duration::from_secs(6);
/// For `-t` to read all php.ini files of pools. What it leaves out shows when the pool starts.
const ALL_INI_LIMIT: Duration = Duration::from_secs(20);

/// Reads the configuration and checks the files. `aloud`, for `-t`: PHP's messages about php.ini go to stderr, warnings are added to
/// errors, and groups with a PHP or php.ini of their own are checked as well. Otherwise their zygotes do that.
///
/// # Errors
/// The configuration is refused, or PHP cannot start: aloud in any group, otherwise in all groups.
pub(crate) fn load(
    engine: &mut dyn Engine,
    host: &Host,
    options: &Options,
    load: &LoadOptions,
    aloud: bool,
) -> Result<Loaded, ConfigError> {
    let pool_paths = if aloud { PoolPaths::Examined } else { PoolPaths::ExaminedIfAllMustStart };
    let loaded = config::load(&options.config_path(&host.config_file()), &load.with_pool_paths(pool_paths))?;
    if !aloud && !load.root {
        // PHP starts as the present user. The zygotes report what fails.
        return Ok(loaded);
    }
    let groups = groups_of(&loaded.config, load);
    let preflight = Preflight {
        engine,
        host,
        options: &options.engine,
        load,
        aloud,
        programs: Programs::new(host, &loaded.config.pools),
        looked_into: Vec::new(),
        told: Vec::new(),
        until: Instant::now() + ALL_LIMIT,
        inis_until: Instant::now() + ALL_INI_LIMIT,
    };
    let mut remarks = preflight.remarks(&groups, loaded.config.global.start_failure_stops);
    if aloud {
        remarks.extend(descriptors::remark(&loaded.config, load, groups.len()));
    }
    loaded.with_remarks(remarks)
}

/// What a pool says about PHP, and the user that reads php.ini, if that is not root.
type Reading = (EngineKey, Option<u32>);

struct Preflight<'a> {
    engine: &'a mut dyn Engine,
    host: &'a Host,
    options: &'a EngineOptions,
    load: &'a LoadOptions,
    aloud: bool,
    programs: Programs,
    /// What PHP's start reads.
    looked_into: Vec<(Reading, Vec<StartFile>)>,
    /// The messages about these files for a user that PHP starts as. Several groups can have the same user.
    told: Vec<(Reading, (Identity, String), Vec<Message>)>,
    /// When the checks of users, and those of php.ini files, have to be over.
    until: Instant,
    inis_until: Instant,
}

impl Preflight<'_> {
    /// Messages about groups in which PHP cannot start.
    fn remarks(mut self, groups: &[Group<'_>], start_failure_stops: bool) -> Vec<Message> {
        let mut remarks: Vec<Message> = Vec::new();
        if self.aloud {
            // All programs answer, or hang, at the same time.
            groups.iter().for_each(|group| drop(self.programs.ask(group.pool)));
        }
        for group in groups {
            let found = self.of_group(group);
            let failed = found.iter().any(|remark| remark.level() >= Level::Error);
            if !self.aloud && !start_failure_stops && !failed {
                // One group that can start is enough: a group that cannot concerns no other, and its zygote reports it.
                return Vec::new();
            }
            // Groups with the same user and php.ini have the same to say.
            remarks.extend(found.into_iter().filter(|remark| !remarks.contains(remark)).collect::<Vec<_>>());
        }
        if !self.aloud {
            remarks.retain(|remark| remark.level() >= Level::Error);
        }
        remarks
    }

    fn of_group(&mut self, group: &Group<'_>) -> Vec<Message> {
        let own = &group.pool.engine;
        if *own != EngineKey::default() && !self.aloud {
            return Vec::new();
        }
        let program = match self.programs.of_pool(group.pool) {
            Ok(program) => program,
            Err(e) => return vec![e.message()],
        };
        let question = Question::Files { output: -1, aloud: self.aloud };
        let asked = Inquiry::about(group.pool, group.user.clone(), self.options, self.load.root, question);
        let mut inquiry = match asked {
            Ok(inquiry) => inquiry,
            Err(e) => return vec![e.message()],
        };
        inquiry.user.take_if(|(identity, _)| identity.uid == 0);
        if let Some(unreadable) = self.unreadable_ini(&inquiry) {
            return vec![unreadable.error(&group.pool.name).message()];
        }
        let Some(user) = inquiry.user.clone() else { return Vec::new() };
        let reading = (own.clone(), inquiry.as_user.then_some(user.0.uid));
        if let Some((.., told)) = self.told.iter().find(|(by, of, _)| (by, of) == (&reading, &user)) {
            return told.clone();
        }
        let files = self.files(inquiry, &reading, program.as_ref());
        let told = if files.is_empty() { Vec::new() } else { of_user(&files, &user, self.look_limit()) };
        self.told.push((reading, user, told.clone()));
        told
    }

    fn look_limit(&self) -> Duration {
        LOOK_LIMIT.min(self.until.saturating_duration_since(Instant::now()))
    }

    /// An ini file that the pool names and that cannot be read.
    fn unreadable_ini(&self, inquiry: &Inquiry) -> Option<own_ini::Unreadable> {
        if inquiry.own.ini.is_none() && inquiry.own.scan_dir.is_none() {
            return None;
        }
        let said = in_child(self.look_limit(), |out| {
            let user = inquiry.user.as_ref().filter(|_| inquiry.as_user);
            let changed = user.is_none_or(|(identity, name)| ids::become_identity(identity, name, &[]).is_ok());
            if let (true, Err(unreadable)) = (changed, own_ini::require_readable(&inquiry.own)) {
                let _ = out.write_all(&serde_json::to_vec(&unreadable).unwrap_or_default());
            }
        });
        serde_json::from_slice(&said?).ok()
    }

    /// The files that PHP's start reads. If PHP fails before it has read php.ini, the zygotes report it.
    fn files(&mut self, mut inquiry: Inquiry, reading: &Reading, program: Option<&Chosen>) -> Vec<StartFile> {
        if let Some((_, files)) = self.looked_into.iter().find(|(by, _)| by == reading) {
            return files.clone();
        }
        let limit = INI_LIMIT.min(self.inis_until.saturating_duration_since(Instant::now()));
        if program.is_none() {
            self.host.complete(&mut inquiry.engine);
        }
        let aloud = self.aloud;
        let engine = &mut *self.engine;
        let said = in_child(limit, |out| match program {
            None => {
                inquiry::tell_files(engine, &inquiry, aloud, out);
            }
            Some(chosen) => {
                let output = std::os::fd::AsRawFd::as_raw_fd(out);
                inquiry.question = Question::Files { output, aloud };
                let _ = inquiry::execute(&chosen.program, &inquiry);
            }
        });
        let files: Vec<StartFile> = serde_json::from_slice(&said.unwrap_or_default()).unwrap_or_default();
        self.looked_into.push((reading.clone(), files.clone()));
        files
    }
}

fn of_user(files: &[StartFile], (identity, name): &(Identity, String), limit: Duration) -> Vec<Message> {
    let said = in_child(limit, |out| {
        if ids::become_identity(identity, name, &[]).is_ok() {
            let unreadable: Vec<&StartFile> = start_files::unreadable(files).collect();
            let _ = out.write_all(&serde_json::to_vec(&unreadable).unwrap_or_default());
        }
    });
    // After a timeout, the user's zygote still checks.
    let unreadable: Vec<StartFile> = serde_json::from_slice(&said.unwrap_or_default()).unwrap_or_default();
    unreadable.iter().map(|file| start_files::message(file, name)).collect()
}
