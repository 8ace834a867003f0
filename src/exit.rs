//! The exit statuses of all processes of this program.
#![forbid(unsafe_code)]

/// How a process of this program ends. The numbers are those of php-fpm (`FPM_EXIT_OK` and so on in `fpm.h`), which takes
/// them from BSD's `sysexits.h`. The control script has the LSB's statuses besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Success.
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// An operation failed at run time.
    Software = 70,
    /// The configuration is wrong, or cannot be put into effect.
    Config = 78,
}

impl ExitCode {
    /// The number that the parent process gets.
    #[must_use]
    pub(crate) const fn status(self) -> i32 {
        self as i32
    }
}
