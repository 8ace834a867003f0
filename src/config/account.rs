//! Looks up the users and groups of a configuration in the system's databases.

use nix::unistd::{Group, Uid, User};
use serde::{Deserialize, Serialize};

use super::directives::PoolDirective as Key;
use super::listen;
use super::message::{Messages, Refused};
use super::model::PoolConfig;
use super::options::LoadOptions;
use super::raw::{Raw, RawPool};
use super::values::is_number;
use crate::log;
use crate::log::messages::accounts::{AccountError, acl_overrides};
use crate::log::messages::config::needs_root;

/// The account of a pool's workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user to change to; `None`: no change.
    pub uid: Option<u32>,
    /// The group to change to; `None`: no change.
    pub gid: Option<u32>,
    /// The name of the user whose supplementary groups are used.
    pub groups_of: Option<String>,
    /// `USER` of the workers' environment, unless `env[USER]` is given.
    pub user: Option<String>,
    /// `HOME` of the workers' environment, unless `env[HOME]` is given.
    pub home: Option<String>,
}

/// Who may use a pool's unix socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketAccess {
    /// Owner; `None`: as created.
    pub uid: Option<u32>,
    /// Group; `None`: as created.
    pub gid: Option<u32>,
    /// Users for the ACL. With an ACL, owner and group stay as created.
    pub acl_users: Vec<u32>,
    /// Groups for the ACL.
    pub acl_groups: Vec<u32>,
}

fn user_named(name: &str) -> Option<User> {
    User::from_name(name).ok().flatten()
}

fn group_named(name: &str) -> Option<Group> {
    Group::from_name(name).ok().flatten()
}

/// The number of a user that is given by name or by number.
pub(super) fn user_id(text: &str) -> Option<u32> {
    if is_number(text) { text.parse().ok() } else { user_named(text).map(|user| user.uid.as_raw()) }
}

/// `-t`: checks that the users and groups of all pools exist, and the length of the sockets' paths.
pub(super) fn check_names(raw: &Raw, messages: &mut Messages) -> Result<(), Refused> {
    raw.pools.iter().try_for_each(|pool| {
        check_names_of(pool).map_err(|error| {
            messages.log(error.message());
            Refused
        })
    })
}

fn check_names_of(raw: &RawPool) -> Result<(), AccountError> {
    let named = |key| raw.values.text(key).filter(|name| !is_number(name)).map(str::to_owned);
    let unknown_user = |key| named(key).filter(|name| user_named(name).is_none());
    let unknown_group = |key| named(key).filter(|name| group_named(name).is_none());
    let pool = raw.name.clone();
    if let Some(name) = unknown_user(Key::User) {
        return Err(AccountError::User { pool, name });
    }
    if let Some(name) = unknown_group(Key::Group) {
        return Err(AccountError::Group { pool, name });
    }
    let addresses = listen::split(raw.values.text(Key::Listen).unwrap_or_default());
    if let Some(path) = addresses.into_iter().filter(|address| listen::is_unix(address)).find_map(listen::too_long) {
        return Err(AccountError::LongPath { pool, path });
    }
    if let Some(name) = unknown_user(Key::ListenOwner) {
        return Err(AccountError::SocketUser { pool, name });
    }
    if let Some(name) = unknown_group(Key::ListenGroup) {
        return Err(AccountError::SocketGroup { pool, name });
    }
    Ok(())
}

/// Looks up the account of a pool's workers.
///
/// # Errors
/// A name is unknown, or the account is root's and `-R` is not given.
pub fn account(pool: &PoolConfig, options: &LoadOptions) -> Result<Account, AccountError> {
    let mut account = if options.root { as_root(pool, options)? } else { as_started() };
    for (name, _) in &pool.env {
        match name.as_str() {
            "USER" => account.user = None,
            "HOME" => account.home = None,
            _ => {}
        }
    }
    Ok(account)
}

/// Without root, workers stay the user that started the program.
fn as_started() -> Account {
    let Ok(Some(user)) = User::from_uid(Uid::current()) else { return Account::default() };
    let home = user.dir.to_string_lossy().into_owned();
    Account { user: Some(user.name), home: Some(home), ..Account::default() }
}

fn as_root(pool: &PoolConfig, options: &LoadOptions) -> Result<Account, AccountError> {
    let mut account = Account::default();
    let unknown = |name: &str| AccountError::User { pool: pool.name.clone(), name: name.to_owned() };
    match pool.user.as_deref() {
        None => {}
        Some(number) if is_number(number) => {
            let uid = number.parse().map_err(|_| unknown(number))?;
            account.uid = Some(uid);
            account.groups_of = Some(number.to_owned());
            if let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) {
                account.gid = Some(user.gid.as_raw());
                account.groups_of = Some(user.name);
            }
        }
        Some(name) => {
            let user = user_named(name).ok_or_else(|| unknown(name))?;
            account.uid = Some(user.uid.as_raw());
            account.gid = Some(user.gid.as_raw());
            account.groups_of = Some(name.to_owned());
            account.home = Some(user.dir.to_string_lossy().into_owned());
            account.user = Some(user.name);
        }
    }
    if let Some(name) = pool.group.as_deref() {
        let gid =
            group_id(name).ok_or_else(|| AccountError::Group { pool: pool.name.clone(), name: name.to_owned() })?;
        account.gid = Some(gid);
    }
    let root = |id: Option<u32>| id.unwrap_or(0) == 0;
    if !options.allow_root && (root(account.uid) || root(account.gid)) {
        return Err(AccountError::Root { pool: pool.name.clone() });
    }
    Ok(account)
}

/// The account of a user that is given by name or by number.
#[must_use]
pub fn account_named(name: &str) -> Option<Account> {
    let user = match name.parse().ok().filter(|_| is_number(name)) {
        Some(uid) => User::from_uid(Uid::from_raw(uid)).ok().flatten(),
        None => user_named(name),
    }?;
    let (uid, gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
    Some(Account { uid, gid, groups_of: Some(user.name), ..Account::default() })
}

/// Owner and group of a file, each by name or by number. Without a group it is that of an owner who is given by name.
///
/// # Errors
/// The name that is unknown.
pub(super) fn file_owner<'a>(
    owner: Option<&'a str>,
    group: Option<&'a str>,
) -> Result<(Option<u32>, Option<u32>), &'a str> {
    let mut of_owner = None;
    let owner = match owner {
        Some(number) if is_number(number) => Some(number.parse().map_err(|_| number)?),
        Some(name) => {
            let user = user_named(name).ok_or(name)?;
            of_owner = Some(user.gid.as_raw());
            Some(user.uid.as_raw())
        }
        None => None,
    };
    let group = group.map(|group| group_id(group).ok_or(group)).transpose()?;
    Ok((owner, group.or(of_owner)))
}

/// The number of a group that is given by name or by number.
fn group_id(text: &str) -> Option<u32> {
    if is_number(text) { text.parse().ok() } else { group_named(text).map(|group| group.gid.as_raw()) }
}

/// Notices about settings that only root can put into effect.
#[must_use]
pub fn ignored_without_root(pool: &PoolConfig) -> Vec<log::Message> {
    let given = [
        ("user", pool.user.is_some()),
        ("group", pool.group.is_some()),
        ("chroot", pool.chroot.is_some()),
        ("process.priority", pool.process_priority.is_some()),
    ];
    let given = given.into_iter().filter(|(_, given)| *given);
    given.map(|(directive, _)| needs_root(&pool.name, directive)).collect()
}

/// Warnings about an owner and a group of a unix socket that have no effect, because it has an access list.
#[must_use]
pub fn ignored_owners(pool: &PoolConfig) -> Vec<log::Message> {
    if pool.listen_acl_users.is_empty() && pool.listen_acl_groups.is_empty() {
        return Vec::new();
    }
    let owners = [("owner", &pool.listen_owner), ("group", &pool.listen_group)];
    let ignored = owners.into_iter().filter_map(|(what, name)| Some((what, name.as_deref()?)));
    ignored.map(|(what, name)| acl_overrides(&pool.name, what, name)).collect()
}

/// Looks up who may use a pool's unix socket.
///
/// # Errors
/// A name is unknown.
pub fn socket_access(pool: &PoolConfig) -> Result<SocketAccess, AccountError> {
    let user = |name: &str| {
        user_named(name).ok_or_else(|| AccountError::SocketUser { pool: pool.name.clone(), name: name.to_owned() })
    };
    let group = |name: &str| {
        group_named(name).ok_or_else(|| AccountError::SocketGroup { pool: pool.name.clone(), name: name.to_owned() })
    };
    let mut access = SocketAccess::default();
    for name in &pool.listen_acl_users {
        access.acl_users.push(user(name)?.uid.as_raw());
    }
    for name in &pool.listen_acl_groups {
        access.acl_groups.push(group(name)?.gid.as_raw());
    }
    if !(access.acl_users.is_empty() && access.acl_groups.is_empty()) {
        return Ok(access);
    }
    match pool.listen_owner.as_deref() {
        Some(number) if is_number(number) => {
            let wrong = |_| AccountError::User { pool: pool.name.clone(), name: number.to_owned() };
            access.uid = Some(number.parse().map_err(wrong)?);
        }
        Some(name) => {
            let user = user(name)?;
            (access.uid, access.gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
        }
        None => {}
    }
    match pool.listen_group.as_deref() {
        Some(number) if is_number(number) => {
            let wrong = |_| AccountError::Group { pool: pool.name.clone(), name: number.to_owned() };
            access.gid = Some(number.parse().map_err(wrong)?);
        }
        Some(name) => access.gid = Some(group(name)?.gid.as_raw()),
        None => {}
    }
    Ok(access)
}
