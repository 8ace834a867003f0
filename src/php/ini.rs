//! Ini entries set from outside of scripts: for good in a worker, or for one request and undone after it.

use std::ffi::{CStr, c_int};

use super::ffi::{SUCCESS, executor_globals, zend_hash_str_find, zend_ini_entry, zend_string};
use super::value;
use super::zend_string::{persistent, release};

const ZEND_INI_SYSTEM: u8 = 4;
const STAGE_ACTIVATE: c_int = 4;

/// Sets an entry as php-fpm does: whoever may change it by its own rules, `admin` fixes it. False: there is no such entry.
///
/// As in php-fpm, a value that the entry's owner refuses is dropped in silence, and the old value is never freed.
pub(super) fn set(name: &CStr, value: &[u8], admin: bool) -> bool {
    find(name).is_some_and(|entry| {
        change(entry, value, admin);
        true
    })
}

/// What an entry was before it was set for a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    entry: *mut zend_ini_entry,
    value: *mut zend_string,
    modifiable: u8,
}

/// Sets an entry, to be undone. `None`: there is no such entry, or its owner refuses the value.
pub(super) fn set_for_now(name: &CStr, value: &[u8], admin: bool) -> Set {
    let Some(entry) = find(name) else { return Set::Unknown };
    // SAFETY: an entry of PHP's table.
    let before = unsafe { entry.read() };
    if change(entry, value, admin) {
        Set::Changed(Before { entry, value: before.value, modifiable: before.modifiable })
    } else {
        Set::Unchanged
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Set {
    /// There is no such entry.
    Unknown,
    /// Its owner refuses the value.
    Unchanged,
    /// It is set.
    Changed(Before),
}

impl Before {
    /// Restores what was. After PHP has undone what the script changed; later changes first.
    pub(super) fn restore(self) {
        // SAFETY: the entry lives as long as its module.
        let unwanted = unsafe { (*self.entry).value };
        notify(self.entry, self.value);
        // SAFETY: as above; the old value was kept.
        unsafe { (*self.entry).value = self.value };
        // SAFETY: as above.
        unsafe { (*self.entry).modifiable = self.modifiable };
        release(unwanted);
    }
}

fn find(name: &CStr) -> Option<*mut zend_ini_entry> {
    // SAFETY: PHP's globals live as long as the process.
    let table = unsafe { (*executor_globals()).ini_directives };
    // SAFETY: PHP's table, a name and its length.
    let found = unsafe { zend_hash_str_find(table, name.as_ptr(), name.count_bytes()) };
    // SAFETY: the table holds pointers to entries.
    (!found.is_null()).then(|| unsafe { value::pointer(found) })
}

/// False if the entry's owner refuses the value.
fn change(entry: *mut zend_ini_entry, value: &[u8], admin: bool) -> bool {
    let value = persistent(value);
    if !notify(entry, value) {
        release(value);
        return false;
    }
    // SAFETY: an entry of PHP's table.
    unsafe { (*entry).value = value };
    if admin {
        // SAFETY: as above. Otherwise .user.ini and scripts may change it still.
        unsafe { (*entry).modifiable = ZEND_INI_SYSTEM };
    }
    true
}

/// Tells the entry's owner, who may refuse.
fn notify(entry: *mut zend_ini_entry, value: *mut zend_string) -> bool {
    // SAFETY: an entry of PHP's table.
    let known = unsafe { entry.read() };
    known.on_modify.is_none_or(|tell| {
        // SAFETY: the owner's function with the owner's arguments.
        unsafe { tell(entry, value, known.mh_arg1, known.mh_arg2, known.mh_arg3, STAGE_ACTIVATE) == SUCCESS }
    })
}
