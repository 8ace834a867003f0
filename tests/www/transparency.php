<?php
// Everything that PHP can see, one fact per line, for tests/sapi/every_door/transparency. `?part=static` adds facts
// that no request changes, `?part=info` phpinfo(). Only values that always differ between requests (times, process
// ids, names of temporary files) are replaced, each by a word for its kind.

/** A value on one line, every byte of it. */
function text(mixed $value): string
{
    if (is_string($value)) {
        return '"' . addcslashes($value, "\0..\37\"\\\177..\377") . '"';
    }
    if (is_array($value)) {
        $parts = [];
        foreach ($value as $key => $part) {
            $parts[] = text($key) . ' => ' . text(steady($key, $part));
        }
        return '[' . implode(', ', $parts) . ']';
    }
    return is_resource($value) ? get_resource_type($value) . ' ' . get_resource_id($value) : var_export($value, true);
}

/** The word for the kind of a value whose name says that it always differs between requests. */
function steady(int|string $name, mixed $value): mixed
{
    $now = fn(int|float $time): bool => abs($time - microtime(true)) < 60;
    return match (true) {
        $name === 'REQUEST_TIME' && is_int($value) && $now($value) => 'now',
        $name === 'REQUEST_TIME' && is_string($value) && $now((int) $value) => 'now, a string',
        $name === 'REQUEST_TIME_FLOAT' && is_float($value) && $now($value) => 'now, a float',
        $name === 'REMOTE_PORT' && is_string($value) && ctype_digit($value) => 'a port',
        $name === 'tmp_name' && is_array($value) => array_map(fn(string $one): string => steady($name, $one), $value),
        $name === 'tmp_name' && preg_match('~^(.*)/php[A-Za-z0-9]{6,22}$~', $value, $found) => "$found[1]/php......",
        default => $value,
    };
}

function show(string $name, mixed $value): void
{
    echo $name, ': ', text(steady($name, $value)), "\n";
}

function show_each(string $name, iterable $values): void
{
    foreach ($values as $key => $value) {
        echo $name, '[', text($key), ']: ', text(steady($key, $value)), "\n";
    }
}

/** The same where what comes before doesn't change a value's name. */
function show_list(string $name, iterable $values): void
{
    foreach ($values as $value) {
        echo $name, ': ', text($value), "\n";
    }
}

/** Where the request stands: it differs between the script, its shutdown functions and its destructors. */
function show_state(string $where): void
{
    show("$where: cwd", getcwd());
    show("$where: connection_status", connection_status());
    show("$where: headers_sent", headers_sent());
    show("$where: headers_list", headers_list());
    show("$where: http_response_code", http_response_code());
    // Their size depends on the length of PHP_BINARY where that is shown.
    show("$where: ob_get_status", array_map(fn(array $one): array => array_diff_key($one, ['buffer_used' => 0, 'buffer_size' => 0]), ob_get_status(true)));
    show("$where: error_get_last", error_get_last());
    show("$where: relative file", file_exists('transparency.php'));
}

class Leaver
{
    public function __construct(private string $where)
    {
    }

    public function __destruct()
    {
        show_state($this->where);
    }
}

function show_request(): void
{
    show_each('_GET', $_GET);
    show_each('_POST', $_POST);
    show_each('_COOKIE', $_COOKIE);
    show_each('_REQUEST', $_REQUEST);
    show_each('_FILES', $_FILES);
    show_each('_ENV', $_ENV);
    show_each('_SERVER', $_SERVER);
    foreach ($_FILES as $name => $file) {
        show("upload $name", is_string($file['tmp_name']) ? @file_get_contents($file['tmp_name']) : 'several');
        show("upload $name moved", is_string($file['tmp_name']) && is_uploaded_file($file['tmp_name']));
    }
    show_each('getenv', getenv());
    foreach (['PATH', 'SCRIPT_FILENAME', 'REQUEST_METHOD', 'HTTP_HOST', 'HTTP_PROXY', 'USER', 'NO_SUCH'] as $name) {
        show("getenv $name", [getenv($name), getenv($name, true)]);
        show("filter $name", [filter_input(INPUT_SERVER, $name), filter_input(INPUT_ENV, $name)]);
    }
    show_each('getallheaders', getallheaders());
    show('apache_request_headers', apache_request_headers() === getallheaders());
    show('input', file_get_contents('php://input'));
    show('argv', $GLOBALS['argv'] ?? 'none');
    show('argc', $GLOBALS['argc'] ?? 'none');
}

function show_process(): void
{
    show('sapi', [php_sapi_name(), PHP_SAPI]);
    show('php.ini', [php_ini_loaded_file(), php_ini_scanned_files()]);
    show('cfg', [get_cfg_var('cfg_file_path'), get_cfg_var('per_path'), get_cfg_var('transparency.nothing')]);
    show('ids', [getmyuid(), getmygid(), get_current_user(), getmyinode() === fileinode(__FILE__), getlastmod() === filemtime(__FILE__)]);
    show('posix', [posix_getuid(), posix_geteuid(), posix_getgid(), posix_getegid(), posix_getgroups(), posix_getlogin()]);
    show('session', [posix_getsid(0) === getmypid(), posix_getpgrp() === getmypid(), posix_getppid() > 1, posix_ctermid()]);
    show('terminals', [posix_isatty(0), posix_isatty(1), posix_isatty(2)]);
    show_each('rlimit', posix_getrlimit());
    show('umask', umask());
    show('temp', sys_get_temp_dir());
    show('host', [gethostname(), php_uname('a')]);
    show('locale', [setlocale(LC_ALL, 0), localeconv(), date_default_timezone_get()]);
    show('included', get_included_files());
    show('include_path', get_include_path());
    show('resources', array_map(fn($one): string => text($one), get_resources()));
    show('globals', array_keys($GLOBALS));
    show('ignore_user_abort', ignore_user_abort());
    show('open streams', array_map(fn(string $name): bool => (bool) @fopen($name, 'r+'), ['php://stdin', 'php://stdout', 'php://stderr']));
    show('constants STDIN', [defined('STDIN'), defined('STDOUT'), defined('STDERR')]);
    show('gc', gc_enabled());
    show('autoload', spl_autoload_functions());
    $cache = function_exists('opcache_get_status') ? opcache_get_status(false) : false;
    show('opcache', is_array($cache) ? [$cache['opcache_enabled'], $cache['jit']['enabled'] ?? null] : $cache);
    show('session settings', [session_status(), session_save_path(), session_module_name()]);
    foreach (['precision', 'memory_limit', 'display_errors', 'user_agent', 'default_charset', 'date.timezone', 'arg_separator.output', 'highlight.string'] as $name) {
        show("ini $name", [ini_get($name), ini_get_all()[$name] ?? null, @ini_set($name, (string) ini_get($name))]);
    }
}

/** What a program sees that a script starts. */
function show_child(): void
{
    $status = 'grep -E "^(Sig(Blk|Ign|Cgt)|Cap|NoNewPrivs|Seccomp|Uid|Gid|Groups|Umask)" /proc/self/status';
    show_list('child status', explode("\n", (string) @shell_exec($status)));
    show_list('child environment', explode("\n", (string) @shell_exec('env')));
    show('child streams', @shell_exec('for fd in 0 1 2; do readlink /proc/self/fd/$fd; done') === null ? null : 'some');
    show('child cwd', @shell_exec('pwd'));
    show('child nice', @shell_exec('nice'));
    show('child limits', @shell_exec('ulimit -a'));
}

function show_static(): void
{
    show_list('extension', array_map(fn(string $name): string => $name . ' ' . phpversion($name), get_loaded_extensions()));
    show_list('zend extension', get_loaded_extensions(true));
    show_each('ini', ini_get_all());
    show_list('function', get_defined_functions()['internal']);
    foreach (get_defined_constants(true) as $group => $constants) {
        show_each("constant $group", $constants);
    }
    show_list('class', get_declared_classes());
    show_list('interface', get_declared_interfaces());
    show_each('wrapper', stream_get_wrappers());
    show_each('filter', stream_get_filters());
    show_each('transport', stream_get_transports());
    echo preg_replace('~(persistent> extension) #\d+~', '$1 #', $GLOBALS['extension']), "\n";
}

function show_info(): void
{
    ob_start();
    phpinfo();
    $page = ob_get_clean();
    $row = '~(<tr><td class="e">\$_(?:SERVER|ENV)\[\'%s\'\]</td><td class="v">)[^<]*~';
    foreach (['REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'REMOTE_PORT'] as $name) {
        $page = preg_replace(sprintf($row, $name), '$1.', $page);
    }
    $counters = 'Cache (?:hits|misses)|(?:Used|Free|Wasted) memory|Interned Strings (?:Used|Free) memory|Cached (?:scripts|keys)|Start time';
    echo preg_replace("~(<tr><td class=\"e\">(?:$counters|REQUEST_TIME(?:_FLOAT)?|REMOTE_PORT) </td><td class=\"v\">)[^<]*~", '$1.', $page), "\n";
}

/** The ways in which a script can end, and what it can say before. */
function end_badly(string $how): void
{
    ini_set('display_errors', isset($_GET['quiet']) ? '0' : '1');
    match ($how) {
        'warning' => print($undefined),
        'late header' => [flush(), header('X-Late: yes'), show('status', http_response_code(404))],
        'log' => [error_log("a line\nand another"), error_log("\0odd\xff"), error_log('to the SAPI', 4)],
        'fatal' => no_such_function(),
        'exception' => throw new RuntimeException("said\nso"),
        'error' => trigger_error('on purpose', E_USER_ERROR),
        'parse' => eval('('),
        'memory' => [ini_set('memory_limit', '4M'), str_repeat('x', 8 << 20)],
        'exit' => exit('a last word'),
        'status' => exit(255),
        'abort' => [ignore_user_abort(true), fastcgi_finish_request(), print('unseen'), flush(), show_state('finished'), error_log('after')],
        'callback' => [ob_start(fn(string $text): string => "<$text>"), print('wrapped')],
        'nested' => [ob_start(), print('kept'), ob_start(), print('inner'), ob_end_clean()],
        'compressed' => [ini_set('zlib.output_compression', '1'), print('packed')],
    };
}

// This comes first: ini_get_all() sorts the entries for the rest of the worker's life.
$extension = (string) new ReflectionExtension('cgi-fcgi');
$at_exit = new Leaver('destructor');
register_shutdown_function(function (): void {
    show_state('shutdown function');
    register_shutdown_function(fn() => show_state('last shutdown function'));
});
header('X-First: one');
header('X-First: two', false);
header('X-Removed: yes');
header_remove('X-Removed');
setcookie('crumb', 'b & c', ['path' => '/', 'httponly' => true]);
if (isset($_GET['status'])) {
    header($_GET['status']);
}
if (isset($_GET['code'])) {
    http_response_code((int) $_GET['code']);
}
header('Content-Type: text/plain; charset=utf-8');
show_state('script');
show_request();
show_process();
match ($_GET['part'] ?? '') {
    'static' => [show_child(), show_static()],
    'info' => show_info(),
    default => null,
};
if (isset($_GET['end'])) {
    end_badly($_GET['end']);
}
if (isset($_GET['flush'])) {
    flush();
    show_state('flushed');
}
if (isset($_GET['finish'])) {
    show('fastcgi_finish_request', fastcgi_finish_request());
}
