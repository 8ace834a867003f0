//! Users and groups that a configuration names, looked up in the system's databases.

use nix::unistd::{Group, Uid, User};

use super::directives::PoolDirective as Key;
use super::listen;
use super::message::{Messages, Refused};
use super::model::PoolConfig;
use super::options::LoadOptions;
use super::raw::Raw;
use super::values::is_number;
use crate::log;

/// Who a pool's workers are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// The user to change to; `None`: stay.
    pub uid: Option<u32>,
    /// The group to change to; `None`: stay.
    pub gid: Option<u32>,
    /// The name that the supplementary groups are taken from.
    pub groups_of: Option<String>,
    /// `USER` of the workers' environment, unless `env[USER]` is given.
    pub user: Option<String>,
    /// `HOME` of the workers' environment, unless `env[HOME]` is given.
    pub home: Option<String>,
}

/// Who may use a pool's unix socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketAccess {
    /// Owner; `None`: as made.
    pub uid: Option<u32>,
    /// Group; `None`: as made.
    pub gid: Option<u32>,
    /// Users for the ACL. With an ACL owner and group stay as made.
    pub acl_users: Vec<u32>,
    /// Groups for the ACL.
    pub acl_groups: Vec<u32>,
}

/// php-fpm appends the system's reason to some of these messages; there is none when a name is merely unknown.
const UNKNOWN: &str = ": Success (0)";

fn user_named(name: &str) -> Result<User, String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user),
        _ => Err(format!("cannot get uid for user '{name}'")),
    }
}

/// The number of a user that is given by name or by number.
pub(super) fn user_id(text: &str) -> Option<u32> {
    if is_number(text) { text.parse().ok() } else { user_named(text).ok().map(|user| user.uid.as_raw()) }
}

fn group_named(name: &str) -> Result<Group, String> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group),
        _ => Err(format!("cannot get gid for group '{name}'")),
    }
}

/// `-t`: do the users and groups of all pools exist?
pub(super) fn check_names(raw: &Raw, messages: &mut Messages) -> Result<(), Refused> {
    for pool in &raw.pools {
        let user = |key| match pool.values.text(key) {
            Some(name) if !is_number(name) => user_named(name).map(|_| ()),
            _ => Ok(()),
        };
        let group = |key| match pool.values.text(key) {
            Some(name) if !is_number(name) => group_named(name).map(|_| ()),
            _ => Ok(()),
        };
        let outcome = user(Key::User)
            .and_then(|()| group(Key::Group))
            .and_then(|()| short_paths(pool.values.text(Key::Listen).unwrap_or_default()))
            .and_then(|()| user(Key::ListenOwner).map_err(|text| text + UNKNOWN))
            .and_then(|()| group(Key::ListenGroup).map_err(|text| text + UNKNOWN));
        if let Err(text) = outcome {
            messages.log(log::Level::Error, format!("[pool {}] {text}", pool.name));
            return Err(Refused);
        }
    }
    Ok(())
}

fn short_paths(addresses: &str) -> Result<(), String> {
    let mut paths = listen::split(addresses).into_iter().filter(|address| listen::is_unix(address));
    match paths.find_map(listen::too_long) {
        Some(text) => Err(text + UNKNOWN),
        None => Ok(()),
    }
}

/// Looks up who a pool's workers will be.
///
/// # Errors
/// An unknown name, or root without `-R`: php-fpm's message, to be logged as an error.
pub fn account(pool: &PoolConfig, options: &LoadOptions) -> Result<Account, String> {
    let mut identity = if options.root { as_root(pool, options) } else { as_started() }
        .map_err(|text| format!("[pool {}] {text}", pool.name))?;
    for (name, _) in &pool.env {
        match name.as_str() {
            "USER" => identity.user = None,
            "HOME" => identity.home = None,
            _ => {}
        }
    }
    Ok(identity)
}

fn as_started() -> Result<Account, String> {
    let Ok(Some(user)) = User::from_uid(Uid::current()) else { return Ok(Account::default()) };
    let home = user.dir.to_string_lossy().into_owned();
    Ok(Account { user: Some(user.name), home: Some(home), ..Account::default() })
}

fn as_root(pool: &PoolConfig, options: &LoadOptions) -> Result<Account, String> {
    let mut identity = Account::default();
    match pool.user.as_deref() {
        None => {}
        Some(number) if is_number(number) => {
            let uid = number.parse().map_err(|_| format!("cannot get uid for user '{number}'"))?;
            identity.uid = Some(uid);
            identity.groups_of = Some(number.to_owned());
            if let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) {
                identity.gid = Some(user.gid.as_raw());
                identity.groups_of = Some(user.name);
            }
        }
        Some(name) => {
            let user = user_named(name)?;
            identity.uid = Some(user.uid.as_raw());
            identity.gid = Some(user.gid.as_raw());
            identity.groups_of = Some(name.to_owned());
            identity.home = Some(user.dir.to_string_lossy().into_owned());
            identity.user = Some(user.name);
        }
    }
    if let Some(group) = pool.group.as_deref() {
        identity.gid = Some(gid(group)?);
    }
    let root = |id: Option<u32>| id.unwrap_or(0) == 0;
    if !options.allow_root && (root(identity.uid) || root(identity.gid)) {
        return Err("please specify user and group other than root".to_owned());
    }
    Ok(identity)
}

fn gid(name: &str) -> Result<u32, String> {
    if is_number(name) {
        return name.parse().map_err(|_| format!("cannot get gid for group '{name}'"));
    }
    Ok(group_named(name)?.gid.as_raw())
}

/// What php-fpm remarks about settings that only root can apply.
#[must_use]
pub fn ignored_without_root(pool: &PoolConfig) -> Vec<String> {
    let given = [
        ("user", pool.user.is_some()),
        ("group", pool.group.is_some()),
        ("chroot", pool.chroot.is_some()),
        ("process.priority", pool.process_priority.is_some()),
    ];
    let given = given.into_iter().filter(|(_, given)| *given);
    given
        .map(|(name, _)| format!("[pool {}] '{name}' directive is ignored when FPM is not running as root", pool.name))
        .collect()
}

/// Looks up who may use a pool's unix socket, and what is to be said about settings that don't count (warnings).
/// All texts are to be put behind `[pool x] `.
///
/// # Errors
/// An unknown name: php-fpm's message, to be logged as an error.
pub fn socket_access(pool: &PoolConfig) -> Result<(SocketAccess, Vec<String>), String> {
    let named = |text: String| text + UNKNOWN;
    let mut access = SocketAccess::default();
    for name in &pool.listen_acl_users {
        access.acl_users.push(user_named(name).map_err(named)?.uid.as_raw());
    }
    for name in &pool.listen_acl_groups {
        access.acl_groups.push(group_named(name).map_err(named)?.gid.as_raw());
    }
    let owners = [("owner", &pool.listen_owner), ("group", &pool.listen_group)];
    if !(access.acl_users.is_empty() && access.acl_groups.is_empty()) {
        let ignored = owners.into_iter().filter_map(|(what, name)| {
            let name = name.as_deref()?;
            Some(format!("ACL set, listen.{what} = '{name}' is ignored"))
        });
        return Ok((access, ignored.collect()));
    }
    match pool.listen_owner.as_deref() {
        Some(number) if is_number(number) => {
            access.uid = Some(number.parse().map_err(|_| format!("cannot get uid for user '{number}'"))?);
        }
        Some(name) => {
            let user = user_named(name).map_err(named)?;
            (access.uid, access.gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
        }
        None => {}
    }
    match pool.listen_group.as_deref() {
        Some(number) if is_number(number) => {
            access.gid = Some(number.parse().map_err(|_| format!("cannot get gid for group '{number}'"))?);
        }
        Some(name) => access.gid = Some(group_named(name).map_err(named)?.gid.as_raw()),
        None => {}
    }
    Ok((access, Vec::new()))
}
