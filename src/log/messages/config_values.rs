//! Statements and values of a configuration that are refused. Each text follows the file and the line.

use super::errors::errors;

errors! {
    /// Why the value of a directive is refused.
    pub enum ValueError in VALUE_ERRORS;

    /// The directive takes a whole number.
    [Fpm Part] Number = "is not a valid number (greater or equal than zero)",
        do "Write digits only.";

    /// The directive takes a time, and there is no value.
    [Fpm Part] NoTime = "invalid time value",
        do "Write a time such as 30s, 5m, 1h or 1d.";

    /// A time ends in a letter that is not a unit.
    [Fpm Part] TimeUnit = "unknown suffix used in time value",
        do "Write a time such as 30s, 5m, 1h or 1d.";

    /// The directive takes a number of bytes.
    [Ours Part] Bytes = "is not a number of bytes (digits, then K, M, G or nothing)",
        do "Write a number such as 256M.";

    /// The directive takes yes or no.
    [Fpm Part] Boolean = "invalid boolean value",
        do "Write yes or no.";

    /// The value is not a log level.
    [Fpm Part] LogLevel = "invalid value for 'log_level'",
        do "Write debug, notice, warning, error or alert.";

    /// The value is not one of the formats of the error log.
    [Ours Part] LogFormat = "invalid value for 'log_format'",
        do "Write default, classic or json.";

    /// The value is not one of the words that the directive takes.
    [Fpm Part] Word = "invalid value",
        do "The hint that follows lists the words; docs/configuration.md explains them.";

    /// The limit of the core file's size is negative.
    [Fpm Part] CoreLimit = "must be greater than zero or 'unlimited'",
        do "Write a number of bytes, or unlimited.";

    /// The value of `pm` is unknown.
    [Fpm Part] ProcessManager = "invalid process manager (static, dynamic or ondemand)",
        do "Write static, dynamic or ondemand.";

    /// A value in `[global]` contains `$pool`.
    [Fpm Part] PoolName = "Can't use '$pool' when the pool is not defined",
        do "Use $pool in the section of a pool only.";
}

errors! {
    /// Why a statement of the ini file is refused.
    pub enum StatementError in STATEMENT_ERRORS;

    /// The section has no such directive.
    [Fpm Part] UnknownEntry { name: String } = "unknown entry '{name}'",
        do "Correct the name. The hint that follows names the directive that was probably meant, or its section.";

    /// The value of a directive is refused.
    [Fpm Part] Value { name: String, reason: ValueError } = "unable to parse value for entry '{name}': {reason}",
        do "Correct the value.";

    /// A directive has no `=`.
    [Fpm Part] NoValue = "value is NULL for a ZEND_INI_PARSER_ENTRY",
        do "Write name = value.";

    /// A line has two `include` statements.
    [Fpm Part] TwoIncludes = "two includes at the same time !",
        do "Write each on a line of its own.";

    /// A value is not UTF-8.
    [Ours Part] NotUtf8 { name: String } = "the value of '{name}' is not valid UTF-8",
        do "Convert the file to UTF-8, for example with iconv.";

    /// `env[NAME]` has no value.
    [Fpm Part] EmptyValue = "empty value",
        do "Write a value, or remove the line.";

    /// There is no list of that name.
    [Fpm Part] UnknownList { name: String } = "unknown directive '{name}'",
        do "Correct the name. The hint that follows names the one that was probably meant.";

    /// `process.php_define[]` takes the name of a setting of php.ini.
    [Ours Part] DefineName { name: String } =
        "process.php_define[{name}]: the name of a setting consists of letters, digits, dots, underscores and hyphens",
        do "Correct the name in the brackets.";

    /// `php_flag` and `php_admin_flag` take yes or no.
    [Fpm Part] Flag { name: String, key: String, reason: ValueError } =
        "error while parsing '{name}[{key}]' : {reason}",
        do "Write yes or no.";

    /// `access.suppress_path[]` has something in its brackets.
    [Fpm Part] SuppressKey = "Keys provided to field 'access.suppress_path' are ignored",
        do "Write access.suppress_path[] = /path.";

    /// A path of `access.suppress_path[]` is not absolute.
    [Fpm Part] SuppressPath = "Values provided to field 'access.suppress_path' must begin with '/'",
        do "Write the path as it is in the URL, with a slash in front.";

    /// A list has nothing in its brackets.
    [Fpm Part] NoKey { name: String } = "You must provide a key for field '{name}'",
        do "Write the name of the variable or of the setting in the brackets.";

    /// A list stands in `[global]`.
    [Fpm Part] ListInGlobal = "Array are not allowed in the global section",
        do "Move the line to the section of a pool.";
}

errors! {
    /// What follows a line about a mistake, as `[FILE:LINE] hint: …`.
    pub enum Hint in HINTS;

    /// A quote has no partner.
    [Ours Part] OpenQuote = "a quote is not closed on this line",
        do "Close the quote.";

    /// A value contains a character that means something in an ini file.
    [Ours Part] NeedsQuotes = "a value that contains one of ;=&|^~()!\"'{{}} must be in quotes",
        do "Put the value in double quotes.";

    /// A name has no value.
    [Ours Part] NameAndValue = "write name = value",
        do "Write name = value.";

    /// A line begins with `#`, which begins no comment in an ini file.
    [Ours Part] Comment = "a comment begins with a semicolon, not with #",
        do "Replace the # by a semicolon.";

    /// What a directive takes.
    [Ours Part] Takes { name: String, what: &'static str } = "{name} takes {what}",
        do "Correct the value.";

    /// A list is written like a directive with one value.
    [Ours Part] WriteList { name: String } = "write {name}[…] = value in the section of a pool",
        do "Add the brackets.";

    /// A directive stands in the wrong section.
    [Ours Part] BelongsIn { name: String, section: &'static str } = "{name} belongs in {section}",
        do "Move the line.";

    /// A directive with one value is written like a list.
    [Ours Part] NoBrackets { name: String } = "{name} takes no brackets",
        do "Remove the brackets.";

    /// A name is probably misspelt.
    [Ours Part] DidYouMean { name: String } = "did you mean {name}?",
        do "Correct the name.";

    /// The directive that the line before is about is on this line.
    [Ours Part] SetHere { name: String } = "{name} is set here",
        do "Correct the value.";

    /// The pool that the line before is about starts on this line.
    [Ours Part] StartsHere { pool: String } = "[{pool}] starts here",
        do "Add the directive that is missing.";
}
