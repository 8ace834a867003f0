//! PHP: its start and its settings.

use super::{byte_messages, messages};

messages! {
    /// PHP starts as the pool's user, and that user cannot read a file that PHP must read. The groups of that
    /// user do not start.
    [Ours Error] start_file_unreadable(setting, path, user) =
        "php.ini: {setting} = {path}: user {user} cannot read this, and PHP is started as that user: use chmod, chgrp or setfacl on \
         it or its directories",
        do "Give the user the right to read the file.";

    /// The same for a file that an extension reads when PHP starts. PHP starts; the extension may not work as expected.
    [Ours Warning] extension_file_unreadable(setting, path, user) =
        "php.ini: {setting} = {path}: user {user} cannot read this, and an extension that reads it when PHP starts does so as that \
         user, not as root as under php-fpm: use chmod, chgrp or setfacl on it or its directories",
        do "Give the user the right to read the file, if the extension needs it.";
}

byte_messages! {
    /// A message that PHP itself logs, such as an error of a script with `log_errors = On`.
    [Fpm Notice] php_message(text) = "PHP message: {text}",
        do "Correct the script.";

    /// The web server asks for a script that does not exist. The client gets 404.
    [Fpm Debug] primary_script_unknown() = "Primary script unknown",
        do "Check SCRIPT_FILENAME in the web server's configuration, and the pool's chroot.";

    /// The script's name does not end as `security.limit_extensions` demands. The client gets 403.
    [Fpm Notice] script_denied(script) = "Access to the script '{script}' has been denied (see security.limit_extensions)",
        do "Pass only PHP scripts to php-fpm, or extend security.limit_extensions of the pool.";

    /// The script cannot be opened. The client gets 403 or 404.
    [Fpm Error] script_not_opened(script, reason) = "Unable to open primary script: {script} ({reason})",
        do "Check that the file exists and that the pool's user can read it.";

    /// The file in `REQUEST_BODY_FILE` cannot be used. The client gets 500.
    [Ours Error] body_file_refused(reason) = "{reason}",
        do "Check the web server's directory for request bodies; see docs/uploads.md.";

    /// A form ended before its `CONTENT_LENGTH`. PHP would see some of its fields, so the script does not run. The client gets
    /// 400.
    [Ours Warning] form_cut_off(script, received, expected) =
        "The form for '{script}' was cut off after {received} of {expected} bytes; the script does not run. See the web server's log \
         for why it, or the client, stopped sending",
        do "Look for timeouts and limits on request bodies in the web server's log.";

    /// A setting in `php_value` or `php_admin_value` of a pool is unknown to PHP, or PHP refuses the value.
    [Fpm Error] pool_setting_refused(directive, name) = "Unable to set {directive} '{name}'",
        do "Correct the name or the value in the pool's section.";

    /// `PHP_VALUE` or `PHP_ADMIN_VALUE` from the web server holds a line in the form `name[] = value` or a section.
    [Fpm Error] passed_setting_is_no_entry() = "Passing INI directive through FastCGI: only classic entries are allowed",
        do "Write `name = value` lines in the web server's fastcgi_param.";

    /// The same, for a line without a name.
    [Fpm Error] passed_setting_has_no_name() = "Passing INI directive through FastCGI: empty key",
        do "Write `name = value` lines in the web server's fastcgi_param.";

    /// The same, for a line without a value.
    [Fpm Error] passed_setting_has_no_value(name) = "Passing INI directive through FastCGI: empty value for key '{name}'",
        do "Write `name = value` lines in the web server's fastcgi_param.";

    /// PHP does not know the setting, or refuses its value.
    [Fpm Error] passed_setting_refused(name) = "Passing INI directive through FastCGI: unable to set '{name}'",
        do "Correct the name or the value in the web server's fastcgi_param.";

    /// `security.fastcgi_php_value` does not allow the setting. There is at most one such line a minute, with the number of others.
    [Ours Error] passed_setting_not_allowed(name, more) =
        "Passing INI directive through FastCGI: {name} is not allowed here (see security.fastcgi_php_value){more}",
        do "Set it in the pool with php_admin_value, or change security.fastcgi_php_value.";
}
