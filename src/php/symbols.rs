//! The host's symbols, looked up by `dlsym` at the start. A wrong host leads to one clear line, not to a message of the dynamic
//! linker.

use std::ffi::{CStr, c_void};

/// Declares the table of the host's symbols, and a function for each. Where it is used, `required` and a function `host` that
/// returns the filled table must be in scope.
macro_rules! host_table {
    (
        functions { $( $(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?; )* }
        variadic { $( $vname:ident: fn($($vty:ty),*); )* }
        variables { $( static $data:ident: $dty:ty; )* }
    ) => {
        /// Addresses of functions and variables of the host program.
        #[allow(non_snake_case, reason = "PHP's names")]
        pub(super) struct Host {
            $( $(#[$meta])* pub(super) $name: unsafe extern "C" fn($($ty),*) $(-> $ret)?, )*
            $( pub(super) $vname: unsafe extern "C" fn($($vty),*, ...), )*
            $( pub(super) $data: *mut $dty, )*
        }

        impl Host {
            /// Looks up every symbol. `Err`: the name of the first that is missing.
            pub(super) fn resolve() -> Result<Self, &'static str> {
                Ok(Self {
                    $(
                        $(#[$meta])*
                        $name: {
                            let address = required(concat!(stringify!($name), "\0"))?;
                            // SAFETY: the host's function of that name has this type, as its headers declare it.
                            unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($ty),*) $(-> $ret)?>(address) }
                        },
                    )*
                    $(
                        $vname: {
                            let address = required(concat!(stringify!($vname), "\0"))?;
                            // SAFETY: the host's variadic function of that name has this type, as its headers declare it.
                            unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($vty),*, ...)>(address) }
                        },
                    )*
                    $( $data: required(concat!(stringify!($data), "\0"))?.cast(), )*
                })
            }
        }

        $(
            /// PHP's function of that name.
            ///
            /// # Safety
            /// The contract of PHP's function, in PHP's source.
            $(#[$meta])*
            #[inline]
            #[allow(non_snake_case, reason = "PHP's name")]
            #[allow(dead_code, reason = "some are used by their address only")]
            pub(super) unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
                let function = host().$name;
                // SAFETY: the caller keeps PHP's contract.
                unsafe { function($($arg),*) }
            }
        )*

        $(
            /// PHP's function of that name, which takes further arguments.
            #[inline]
            #[allow(dead_code, reason = "some are used by their address only")]
            pub(super) fn $vname() -> unsafe extern "C" fn($($vty),*, ...) {
                host().$vname
            }
        )*

        $(
            /// The address of PHP's variable of that name.
            #[inline]
            pub(super) fn $data() -> *mut $dty {
                host().$data
            }
        )*
    };
}
pub(super) use host_table;

/// The address of a symbol of the host. `name` ends in a NUL byte.
pub(super) fn lookup(name: &'static str) -> Option<*mut c_void> {
    let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
    // SAFETY: the name is a C string; nothing is run by looking a symbol up.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

pub(super) fn required(name: &'static str) -> Result<*mut c_void, &'static str> {
    lookup(name).ok_or(name.trim_end_matches('\0'))
}
