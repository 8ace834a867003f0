//! PHP: its start and its settings.

use super::messages;

messages! {
    /// PHP starts as the pool's user, and that user cannot read a file that PHP must read. Nothing is started.
    [Ours Error] start_file_unreadable(setting, path, user) =
        "php.ini: {setting} = {path}: user {user} can't read this, and PHP is started as that user: use chmod, chgrp or setfacl on \
         it or its directories",
        do "Give the user the right to read the file.";

    /// The same for a file that an extension reads when PHP starts. PHP starts; the extension may not work as expected.
    [Ours Warning] extension_file_unreadable(setting, path, user) =
        "php.ini: {setting} = {path}: user {user} can't read this, and an extension that reads it when PHP starts does so as that \
         user, not as root as under php-fpm: use chmod, chgrp or setfacl on it or its directories",
        do "Give the user the right to read the file, if the extension needs it.";
}
