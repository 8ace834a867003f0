//! The php-cgi, library and php.ini that a pool names for itself.

use super::errors::errors;

errors! {
    /// Why a pool cannot run with the PHP that it names.
    pub enum ProgramError in PROGRAM_ERRORS;

    /// The file of `process.php`, `process.php_library` or `process.php_ini`, or a directory of `process.php_ini_scan_dir`, does not
    /// exist or cannot be read. If a user can change php.ini, PHP reads it with the rights of the pool's user.
    [Ours Error] Unreadable { pool: String, directive: String, path: String, reason: String } =
        "[pool {pool}] {directive} = {path}: {reason}",
        names ["process.php", "process.php_library", "process.php_ini", "process.php_ini_scan_dir"],
        do "Correct the path, install the file, or correct its permissions.";

    /// The pool's php.ini, or a file of `process.php_ini_scan_dir`, has a syntax error. PHP would ignore the file from this line on,
    /// and start without settings that the pool needs, such as `disable_functions` and `open_basedir`.
    [Ours Error] IniSyntax { pool: String, directive: String, path: String, line: u32, text: String } =
        "[pool {pool}] {directive}: {path}:{line}: {text}; PHP would ignore the file from there on",
        names ["process.php_ini", "process.php_ini_scan_dir"],
        do "Correct the line. A value that contains one of ;=&|^~()!\"{{}} must be in quotes; a comment begins with a semicolon.";

    /// A user can change the pool's php.ini, and PHP would start as root: it would load any extension that the file names.
    [Ours Error] IniOfUser { pool: String, directive: String, path: String, who: String } =
        "[pool {pool}] {directive} = {path}: {who} can change this file or replace it, and PHP of this pool starts as root: use chown \
         root and chmod go-w on it, or let PHP start as the pool's user",
        names ["process.php_ini", "process.php_ini_scan_dir"],
        do "Give the file to root. Or do not share a zygote between several users (`process.group`), and set `user`.";

    /// php-fpm runs as root, so it starts no program that another user could have replaced.
    [Ours Error] Writable { pool: String, directive: String, path: String, who: String } =
        "[pool {pool}] {directive} = {path}: {who} can change this file or replace it, and php-fpm runs as root: use chown root and \
         chmod go-w on the file and on the directories of its path",
        names ["process.php", "process.php_library"],
        do "Give the file and all directories of its path to root, without write permission for others.";

    /// The file is no PHP.
    [Ours Error] NoPhp { pool: String, path: String } =
        "[pool {pool}] process.php = {path}: this is not a php-cgi of PHP 8",
        names ["process.php"],
        do "Name a php-cgi.";

    /// A php-cgi without our patch gets the library by LD_PRELOAD, and there is none for its version.
    [Ours Error] NoLibrary { pool: String, path: String, version: String, expected: String } =
        "[pool {pool}] {path} (PHP {version}) needs a cgi-fpm library for its version, and {expected} does not exist: install it \
         there, or set process.php_library",
        names ["process.php", "process.php_library"],
        do "Build the library for that PHP version and install it under that name, or set process.php_library.";

    /// The program was asked what it is. It ended without an answer.
    [Ours Error] NoAnswer { pool: String, path: String, text: String } =
        "[pool {pool}] {path} --fpm does not work: {text}",
        names ["process.php", "process.php_library"],
        do "Run the program with `--fpm -v`. If its library is older than this php-fpm, install the present one.";

    /// The same, but it did not end in time.
    [Ours Error] Silent { pool: String, path: String, limit: u64 } =
        "[pool {pool}] {path} --fpm does not say within {limit} seconds which protocol it speaks",
        names ["process.php", "process.php_library"],
        do "Run the program with `--fpm -v`, and see what it waits for.";

    /// The library of that program is of a version that cannot talk to this one.
    [Ours Error] Protocol { pool: String, path: String, theirs: String, ours: String } =
        "[pool {pool}] {path} speaks protocol {theirs}, this supervisor {ours}",
        names ["process.php", "process.php_library"],
        do "Install the same version of cgi-fpm for both.";
}
