//! Mistakes and remarks about an XML php-fpm.conf. Each text follows the file and the line.

use super::errors::errors;

errors! {
    /// What is wrong, or odd, in an XML file of the original php-fpm. Texts that the original had are unchanged.
    pub enum XmlError in XML_ERRORS;

    /// The file is not UTF-8.
    [Ours Part] NotUtf8 = "a byte that is not UTF-8",
        do "Convert the file, for example with iconv -f ISO-8859-1 -t UTF-8.";

    /// The file contains a control character.
    [Ours Part] ControlCharacter = "a control character",
        do "Remove the character.";

    /// Elements are nested too deeply.
    [Ours Part] TooDeep { limit: usize } = "more than {limit} elements inside one another",
        do "Close the elements.";

    /// The start of an element is not well-formed.
    [Ours Part] BadElement { tag: String, reason: String } = "<{tag}> is not well-formed: {reason}",
        do "Correct the element.";

    /// An attribute is not well-formed.
    [Ours Part] BadAttribute { key: String, tag: String, reason: String } = "the attribute {key} of <{tag}>: {reason}",
        do "Correct the attribute.";

    /// An element has no name.
    [Ours Part] NoTag = "an element without a name",
        do "Write &lt; for a < that is text.";

    /// An element follows the end of the file's element.
    [Ours Part] AfterEnd { tag: String } = "<{tag}> comes after the end of the outermost element",
        do "Move it into <configuration>.";

    /// An end tag has no start.
    [Ours Part] ClosesNothing { tag: String } = "</{tag}> closes nothing",
        do "Remove it.";

    /// An end tag does not belong to the element that is open.
    [Ours Part] WrongEnd { tag: String, open: String, at: u32 } = "</{tag}> does not close {open} of line {at}",
        do "Close the inner element first.";

    /// An element has no end.
    [Ours Part] NotClosed { open: String, at: u32 } = "{open} of line {at} is not closed",
        do "Close the element.";

    /// The file contains no element.
    [Ours Part] NoElement = "the file contains no element",
        do "Write <configuration>.";

    /// A reference is not one of XML's own.
    [Ours Part] UnknownEntity { name: String } = "the entity &{name}; is not known",
        do "Write the text, or &amp; for an & that is text.";

    /// The file declares an encoding other than UTF-8.
    [Ours Part] Encoding { name: String } = "the encoding {name} is not supported",
        do "Convert the file to UTF-8 and correct the declaration.";

    /// The file has a DOCTYPE.
    [Ours Part] Doctype = "a DOCTYPE is refused: neither a DTD nor its entities are read",
        do "Remove the DOCTYPE and write the texts that its entities stand for.";

    /// The file includes another one.
    [Ours Part] Inclusion = "XInclude is refused: the whole configuration must be in this file",
        do "Insert the other file, or convert to ini (--convert) and use `include`.";

    /// Text comes before or after the file's element.
    [Ours Part] TextOutside = "text outside of the outermost element",
        do "Move it into <configuration>, where text is ignored.";

    /// The file is not well-formed XML.
    [Ours Part] NotWellFormed { reason: String } = "not well-formed: {reason}",
        do "Correct the line.";

    /// The file is not a configuration.
    [Ours Part] OutermostElement { tag: String } = "the outermost element is <{tag}>",
        do "It must be <configuration>.";

    /// The file has no pool.
    [Ours Part] NoPool = "at least one pool section must be specified in config file",
        do "Add a pool.";

    /// All pools are templates.
    [Ours Part] NoAddress = "no pool has a listen_address",
        do "Set listen_address in a pool.";

    /// A pool is in the wrong place.
    [Ours Part] PoolOutside = "a pool is outside of <workers>",
        do "Put <workers> and </workers> around the pools.";

    /// Global settings are in the wrong place.
    [Ours Part] GlobalInside = "global_options are inside <workers>",
        do "Move them out of <workers>.";

    /// An element is inside one that cannot contain it. Often the outer one is not closed.
    [Ours Part] Nested { inner: String, outer: String } = "{inner} must not be inside {outer}",
        do "Close the outer element.";

    /// A setting belongs to no section.
    [Ours Part] NoSection { element: String } = "{element} is in no section",
        do "Move it to global_options or to a pool.";

    /// A section of that name is unknown. Its settings have no effect.
    [Ours Part] UnknownSection { element: String } = "unknown section {element} is ignored",
        do "Correct the name, or remove the section.";

    /// An unknown element contains settings.
    [Ours Part] SettingsNowhere { tag: String } = "the settings in <{tag}> are in no section",
        do "Write <section name=\"…\">.";

    /// An element of that name is unknown.
    [Ours Part] UnknownElement { tag: String } = "unknown element <{tag}> is ignored",
        do "Correct the name, or remove the element.";

    /// A setting has no name.
    [Ours Part] NamelessValue = "a <value> without a name is ignored",
        do "Write <value name=\"…\">.";

    /// A setting takes settings of its own, and contains text.
    [Ours Part] TextIgnored { element: String } = "the text in {element} has no effect",
        do "Write <value name=\"…\">…</value> inside.";

    /// A setting of that name is unknown. It has no effect.
    [Ours Part] UnknownSetting { name: String, section: String } = "unknown setting '{name}' in section '{section}'",
        do "Correct the name. The hint names the setting that was probably meant.";

    /// The value of a setting is refused.
    [Ours Part] Value { setting: String, reason: XmlValueError } = "{setting}: {reason}",
        do "Correct the value.";

    /// A value is not quite a number. The original read it as that number.
    [Ours Part] ReadAs { setting: String, text: String, number: i32 } = "{setting}: '{text}' is read as {number}",
        do "Write the number alone.";

    /// The name of a variable or of a PHP setting has other characters than letters, digits, `_`, `-` and dots.
    [Ours Part] KeyName { key: String } = "'{key}' cannot be the name of a variable",
        do "Correct the name.";

    /// A value contains a comment, a CDATA section or the like.
    [Ours Part] NotText { element: String } = "XML_TEXT_NODE is expected in {element}, something different is given",
        do "Write text alone; < and & are written &lt; and &amp;.";

    /// A pool without an address has no processes. Other pools may have been copied from it.
    [Ours Part] Template { pool: String } =
        "pool '{pool}' has no listen_address: it is a template, and has no processes",
        do "Nothing, or set listen_address.";

    /// The pool does not set the mode of its socket. The original let every user connect.
    [Ours Part] OpenSocket { pool: String, address: String } =
        "pool '{pool}': every user may connect to {address}, as in the original php-fpm",
        do "Set the mode in listen_options.";

    /// The name of a pool has other characters than letters, digits, `_`, `-` and dots.
    [Ours Part] PoolName { name: String } = "'{name}' cannot be the name of a pool",
        do "Correct the name.";

    /// Two pools have the same name. The second gets a number.
    [Ours Part] NameTaken { name: String, own: String } = "the name '{name}' is taken: this pool is called '{own}'",
        do "Give each pool a name of its own.";

    /// The pool does not set max_children.
    [Ours Part] NoMaxChildren { pool: String } = "pool '{pool}' has no max_children",
        do "Set max_children in pm.";

    /// max_children is below 1.
    [Ours Part] MaxChildren { pool: String, number: i32 } = "pool '{pool}' has a max_children of {number}",
        do "Set a number from 1 on.";

    /// php-fpm is started as root, and the pool has no user.
    [Ours Part] NoUser { pool: String } = "pool '{pool}' has no user; please specify user and group other than root",
        do "Set user.";

    /// A time for slow requests is set, but no file for their traces.
    [Ours Part] NoSlowlog = "'slowlog' must be specified for use with 'request_slowlog_timeout'",
        do "Set slowlog.";

    /// Requests are terminated before they count as slow.
    [Ours Part] NeverSlow { slow: i32, end: i32 } =
        "request_slowlog_timeout ({slow}s) has no effect: request_terminate_timeout ({end}s) ends a request first",
        do "Lower request_slowlog_timeout.";

    /// The numbers of spare workers do not fit together. The original did not check them.
    [Ours Part] SpareChanged { pool: String, setting: &'static str, number: i32, least: i32, most: i32 } =
        "pool '{pool}': {setting} is set to {number}, between {least} and {most}",
        do "Correct the setting.";

    /// A setting is refused by the rules of the ini file.
    [Ours Part] Statement { reasons: String } = "{reasons}",
        do "Correct the setting.";
}

errors! {
    /// Why the value of a setting in an XML file is refused.
    pub enum XmlValueError in XML_VALUE_ERRORS;

    /// A value has more than one line, or a control character.
    [Ours Part] ControlCharacter = "a line break or another control character in a value",
        do "Write the value on one line.";

    /// A directory is not absolute.
    [Ours Part] Relative { path: String } = "the path '{path}' must start with a '/'",
        do "Write an absolute path.";

    /// Permissions are not octal.
    [Ours Part] Mode { text: String } = "invalid permissions '{text}'",
        do "Write octal digits such as 0660.";

    /// The limit of the core file's size is negative.
    [Ours Part] CoreLimit { text: String } = "invalid value for 'rlimit_core': '{text}'",
        do "Write a number of bytes, or unlimited.";

    /// A time has no unit.
    [Ours Part] TimeUnit { text: String } = "unknown suffix used in timeval value '{text}'",
        do "Write a time such as 30s, 5m, 1h or 1d.";

    /// A time is not a number with a unit, or too long.
    [Ours Part] Time { text: String } = "invalid timeval value '{text}'",
        do "Write a time such as 30s, 5m, 1h or 1d.";

    /// A value is neither yes nor no.
    [Ours Part] Boolean { text: String } = "invalid boolean value '{text}'",
        do "Write yes or no.";

    /// A value is not a log level.
    [Ours Part] LogLevel { text: String } = "invalid value for 'log_level': '{text}'",
        do "Write debug, notice, warn, error or alert, in lower case.";

    /// The style of the process manager is unknown.
    [Ours Part] Style { text: String } = "invalid value for 'style': '{text}'",
        do "Write static or apache-like.";
}
