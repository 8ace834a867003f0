<?php // Everything that PHP can see of its surroundings, as text. Compared between servers, so what differs from
// request to request is told by its type only.
function section(string $name, mixed $value): void
{
    echo "== $name\n", is_string($value) ? $value : json_encode($value, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES
        | JSON_INVALID_UTF8_SUBSTITUTE | JSON_PARTIAL_OUTPUT_ON_ERROR), "\n";
}

function types(array $values, string ...$names): array
{
    foreach ($names as $name) {
        if (isset($values[$name])) {
            $values[$name] = get_debug_type($values[$name]);
        }
    }
    return $values;
}

function readable_files(array $files): array
{
    array_walk_recursive($files, function (&$value, $key) {
        if ($key === 'tmp_name' && $value !== '') {
            $value = dirname($value) . '/' . substr(basename($value), 0, 3) . '? ' . md5_file($value)
                . (is_uploaded_file($value) ? ' uploaded' : ' not uploaded');
        }
    });
    return $files;
}

class Last
{
    public function __destruct()
    {
        section('destructor', [getcwd(), connection_status(), http_response_code(), ob_get_level()]);
    }
}

$last = new Last;
register_shutdown_function(function () {
    section('shutdown function', [getcwd(), connection_status(), headers_sent(), error_get_last()]);
});

header('X-Transparent: yes');
setcookie('seen', '1');
section('$_SERVER', types($_SERVER, 'REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'REMOTE_PORT'));
section('$_ENV', types($_ENV, 'REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'REMOTE_PORT'));
section('getenv()', types(getenv(), 'REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'REMOTE_PORT'));
section('getenv by name', [getenv('PATH'), getenv('REQUEST_METHOD'), getenv('HTTP_HOST'), getenv('FROM_POOL')]);
section('$_GET', $_GET);
section('$_POST', $_POST);
section('$_COOKIE', $_COOKIE);
section('$_FILES', readable_files($_FILES));
section('$_REQUEST', $_REQUEST);
section('GLOBALS', array_keys($GLOBALS));
section('argv', [$argv ?? null, $argc ?? null, $GLOBALS['argv'] ?? null]);
section('php://input', (string) file_get_contents('php://input'));
section('getallheaders()', getallheaders());
section('apache_request_headers()', apache_request_headers());
section('headers_list()', headers_list());
section('status', [http_response_code(), connection_status(), connection_aborted(), ignore_user_abort(), headers_sent()]);
section('sapi', [PHP_SAPI, php_sapi_name(), PHP_VERSION, PHP_OS, PHP_ZTS, PHP_DEBUG, PHP_EXTRA_VERSION]);
section('ini files', [php_ini_loaded_file(), php_ini_scanned_files(), get_cfg_var('cfg_file_path')]);
section('directories', [getcwd(), __DIR__, sys_get_temp_dir(), get_include_path(), DIRECTORY_SEPARATOR]);
section('files', get_included_files());
section('who', [getmyuid(), getmygid(), get_current_user(), posix_geteuid(), posix_getegid(), posix_getgroups(), umask()]);
section('process', [posix_getppid() !== 1, posix_isatty(0), posix_isatty(1), posix_isatty(2)]);
section('limits', array_map(fn($limit) => $limit, posix_getrlimit()));
section('streams', [stream_get_wrappers(), stream_get_filters(), stream_get_transports()]);
section('buffers', [ob_get_level(), ob_get_status(true), ob_list_handlers()]);
section('extensions', [get_loaded_extensions(), get_loaded_extensions(true)]);
section('functions', get_defined_functions()['internal']);
section('classes', get_declared_classes());
section('constants', types(get_defined_constants(true)['Core'] ?? [], 'PHP_BINARY'));
section('ini', ini_get_all());
section('filter_input', [filter_input(INPUT_SERVER, 'REQUEST_METHOD'), filter_input(INPUT_GET, 'a'), filter_has_var(INPUT_SERVER, 'HTTP_HOST')]);
section('std streams', [defined('STDIN'), defined('STDOUT'), defined('STDERR')]);
section('functions of fpm', array_map(fn($f) => [$f, (string) new ReflectionFunction($f)],
    ['fastcgi_finish_request', 'fpm_get_status', 'getallheaders', 'apache_request_headers']));
section('error_get_last()', error_get_last());
if (isset($_GET['info'])) {
    ob_start();
    phpinfo();
    $info = html_entity_decode(strip_tags(str_replace(['</td>', '</th>', '</tr>'], [' | ', ' | ', "\n"], ob_get_clean())));
    section('phpinfo()', $info);
}
if (isset($_GET['log'])) {
    error_log("a line for the log\nand another");
    trigger_error('a warning', E_USER_WARNING);
    file_put_contents('php://stderr', "straight to stderr\n");
}
match ($_GET['end'] ?? '') {
    'exit' => exit(3),
    'fatal' => no_such_function(),
    'finish' => section('finish', [fastcgi_finish_request(), fastcgi_finish_request(), headers_sent()]),
    default => section('end', 'regular'),
};
