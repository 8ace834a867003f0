//! Sets ini entries from outside of scripts: in a worker for all its requests, or for one request, after which the former value
//! is restored.

use std::ffi::{CStr, c_int};

use super::ffi::{SUCCESS, executor_globals, zend_ini_entry, zend_string};
use super::guard::attempt;
use super::value;
use super::zend_string::{persistent, release};

const ZEND_INI_USER: u8 = 1;
const ZEND_INI_PERDIR: u8 = 2;
const ZEND_INI_SYSTEM: u8 = 4;
/// When an entry is set, which its owner (the extension that registered it) is told. Some owners refuse a value, warn, start a
/// timer or require a value, unless a former value is restored after the request.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
enum Stage {
    /// `ZEND_INI_STAGE_ACTIVATE`: before a request.
    Activate = 4,
    /// `ZEND_INI_STAGE_DEACTIVATE`: after it.
    Deactivate = 8,
}

/// Sets an entry as php-fpm does, whatever the entry's own rules allow. With `admin`, scripts cannot change it. False: there is
/// no such entry.
///
/// As in php-fpm, a value that the owner refuses is dropped without a message, and the former value is never freed.
pub(super) fn set(name: &CStr, value: &[u8], admin: bool) -> bool {
    find(name).is_some_and(|entry| {
        change(entry, value, admin);
        true
    })
}

/// The value of an entry. `None`: there is no such entry, or it has no value.
pub(super) fn text(name: &CStr) -> Option<String> {
    // SAFETY: the entry is in PHP's table and lives as long as its module, which is never unloaded. Its value is copied.
    let value = unsafe { (*find(name)?).value };
    // SAFETY: null or a live string.
    let value = unsafe { value.as_ref() }?;
    // SAFETY: Zend ends the bytes of each string with a NUL, and the entry keeps the string meanwhile.
    Some(unsafe { CStr::from_ptr(value.val.as_ptr()) }.to_string_lossy().into_owned())
}

/// The state of an entry before it was set for a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    entry: *mut zend_ini_entry,
    value: *mut zend_string,
    modifiable: u8,
}

/// Saves the state of an entry. `None`: there is no such entry.
pub(super) fn remember(name: &CStr) -> Option<Before> {
    let entry = find(name)?;
    // SAFETY: the entry is in PHP's table and lives as long as its module, which is never unloaded. It is a plain C structure,
    // which may be copied.
    let known = unsafe { entry.read() };
    Some(Before { entry, value: known.value, modifiable: known.modifiable })
}

impl Before {
    /// Whether a script or .user.ini may change the entry. False for entries that only php.ini may set, and for those that the
    /// pool has fixed.
    pub(super) fn is_changeable(self) -> bool {
        self.modifiable & (ZEND_INI_USER | ZEND_INI_PERDIR) != 0
    }

    /// Sets the entry. False: its owner refuses the value. The call may bail out, after which `restore` works too.
    pub(super) fn change(self, value: &[u8], admin: bool) -> bool {
        change(self.entry, value, admin)
    }

    /// Restores the saved state. To be called after PHP has undone the script's changes, and for the latest change first.
    pub(super) fn restore(self) {
        // SAFETY: the entry lives as long as its module.
        let unwanted = unsafe { (*self.entry).value };
        // If the owner bails out, this entry and those before it are restored all the same.
        attempt(|| _ = notify(self.entry, self.value, Stage::Deactivate));
        // SAFETY: the entry lives as long as its module, which is never unloaded. The former value was kept alive for this.
        unsafe { (*self.entry).value = self.value };
        // SAFETY: the entry lives as long as its module, which is never unloaded, and this is PHP's thread.
        unsafe { (*self.entry).modifiable = self.modifiable };
        if unwanted != self.value {
            release(unwanted);
        }
    }
}

/// PHP's entry of that name, which lives as long as its module.
pub(super) fn find(name: &CStr) -> Option<*mut zend_ini_entry> {
    // SAFETY: EG(ini_directives) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let table = unsafe { (*executor_globals()).ini_directives };
    // SAFETY: the values of PHP's table are pointers to entries.
    unsafe { value::pointer_at(table, name.to_bytes()) }
}

/// Sets the value. False: the owner refuses it.
fn change(entry: *mut zend_ini_entry, value: &[u8], admin: bool) -> bool {
    let value = persistent(value);
    if !notify(entry, value, Stage::Activate) {
        release(value);
        return false;
    }
    // SAFETY: the entry is in PHP's table and lives as long as its module. The former value was kept by the caller.
    unsafe { (*entry).value = value };
    if admin {
        // SAFETY: the entry is in PHP's table and lives as long as its module. A setting that is not `admin` may still be changed
        // by .user.ini and scripts.
        unsafe { (*entry).modifiable = ZEND_INI_SYSTEM };
    }
    true
}

/// Tells the owner of the entry, which may refuse the value.
fn notify(entry: *mut zend_ini_entry, value: *mut zend_string, stage: Stage) -> bool {
    // SAFETY: the entry is in PHP's table and lives as long as its module, which is never unloaded. It is a plain C structure,
    // which may be copied.
    let known = unsafe { entry.read() };
    known.on_modify.is_none_or(|tell| {
        // SAFETY: the owner's function with the owner's arguments.
        unsafe { tell(entry, value, known.mh_arg1, known.mh_arg2, known.mh_arg3, stage as c_int) == SUCCESS }
    })
}
