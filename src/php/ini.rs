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

/// What a request has changed.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<Change>);

#[derive(Debug)]
struct Change {
    entry: *mut zend_ini_entry,
    value: *mut zend_string,
    modifiable: u8,
}

impl Changes {
    /// Sets an entry for this request. False: there is no such entry.
    pub(super) fn set(&mut self, name: &CStr, value: &[u8], admin: bool) -> bool {
        let Some(entry) = find(name) else { return false };
        // SAFETY: an entry of PHP's table.
        let before = unsafe { entry.read() };
        if change(entry, value, admin) {
            self.0.push(Change { entry, value: before.value, modifiable: before.modifiable });
        }
        true
    }

    /// Restores what was, the last change first. After PHP has undone what the script changed.
    pub(super) fn undo(&mut self) {
        while let Some(change) = self.0.pop() {
            // SAFETY: the entry lives as long as its module, the old value is held by us.
            let unwanted = unsafe { (*change.entry).value };
            notify(change.entry, change.value);
            // SAFETY: as above.
            unsafe { (*change.entry).value = change.value };
            // SAFETY: as above.
            unsafe { (*change.entry).modifiable = change.modifiable };
            release(unwanted);
        }
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
