<?php
// What PHP keeps in a worker from one request to the next, one fact per line, for tests/sapi/warm_up. Times and random values are left
// out.
$memory = [memory_get_usage(), memory_get_peak_usage(), memory_get_usage(true), memory_get_peak_usage(true)];
$object = spl_object_id(new stdClass());
$output = [ob_get_level(), ob_get_status(true), headers_list(), headers_sent(), http_response_code(), connection_status(), ignore_user_abort(), output_reset_rewrite_vars()];

function show(string $name, mixed $value): void
{
    echo $name, ': ', var_export($value, true), "\n";
}

/** Long lists by their length and their hash. */
function sum(string $name, mixed $value): void
{
    show($name, [is_array($value) ? count($value) : 1, md5(serialize($value))]);
}

/** The result of a function, if its extension is there. */
function call(string $function, mixed ...$arguments): mixed
{
    return function_exists($function) ? $function(...$arguments) : 'none';
}

function without(array $from, string ...$names): array
{
    return array_diff_key($from, array_flip($names));
}

function lines(string $file, string $pattern): array
{
    return array_values(preg_grep($pattern, @file($file, FILE_IGNORE_NEW_LINES) ?: []));
}

show('memory', $memory);
show('object', $object);
show('gc', without(gc_status(), 'application_time', 'collector_time', 'destructor_time', 'free_time'));
show('last error', [error_get_last(), preg_last_error_msg(), json_last_error_msg(), call('openssl_error_string'), call('intl_get_error_name', 0), call('intl_get_error_code'), call('libxml_get_errors'), call('posix_get_last_error'), call('socket_last_error'), call('mysqli_connect_errno')]);
show('handlers', [set_error_handler(fn() => false), set_exception_handler(null), spl_autoload_functions()]);
restore_error_handler();
show('resources', [get_resources(), get_resource_id(fopen('php://memory', 'r')), stream_context_get_options(stream_context_get_default())]);
show('token', strtok(' '));
show('output', $output);
show('files', [get_included_files(), getcwd(), realpath_cache_size(), array_map(fn(array $one): array => without($one, 'expires', 'key'), realpath_cache_get())]);
show('variables', [array_keys($GLOBALS), ...array_map(fn(array $one): array => without($one, 'REQUEST_TIME', 'REQUEST_TIME_FLOAT'), [$_SERVER, $_ENV, getenv()]), $_GET, $_POST, $_COOKIE, $_FILES]);
show('session', [session_status(), session_id(), session_name(), session_save_path(), session_module_name(), session_cache_limiter()]);
show('mbstring', [call('mb_get_info'), call('mb_http_input'), call('mb_regex_encoding'), call('mb_regex_set_options'), call('mb_substitute_character'), call('mb_detect_order')]);
show('locale', [setlocale(LC_ALL, 0), date_default_timezone_get(), call('iconv_get_encoding'), call('locale_get_default'), umask()]);
show('errors', [error_reporting(), ini_get('display_errors'), assert(true), call('libxml_use_internal_errors')]);
show('changed settings', array_filter(ini_get_all(), fn(array $one): bool => $one['global_value'] !== $one['local_value']));
sum('settings', ini_get_all());
sum('constants', get_defined_constants());
sum('functions', get_defined_functions());
sum('classes', [get_declared_classes(), get_declared_interfaces(), get_declared_traits()]);
sum('extensions', [get_loaded_extensions(), get_loaded_extensions(true), stream_get_wrappers(), stream_get_filters(), stream_get_transports()]);
show('sapi', [php_sapi_name(), php_ini_loaded_file(), get_cfg_var('cfg_file_path'), getlastmod() === filemtime(__FILE__), get_current_user()]);
show('signals', [lines('/proc/self/status', '~^Sig(Blk|Ign|Cgt)~'), lines('/proc/self/status', '~^(Uid|Gid|Groups|Umask|Threads|NoNewPrivs|Seccomp)~')]);
show('handlers of signals', array_map(fn(int $signal): mixed => call('pcntl_signal_get_handler', $signal), [1, 2, 3, 10, 12, 14, 15, 17, 27]));
show('descriptors', array_map(fn(string $one): string => preg_replace('~\d{3,}~', 'N', (string) @readlink("/proc/self/fd/$one")), array_diff(scandir('/proc/self/fd'), ['.', '..'])));
show('opcache', is_array($cache = call('opcache_get_status', false)) ? ['opcache_statistics' => without($cache['opcache_statistics'], 'hits', 'start_time', 'opcache_hit_rate')] + $cache : $cache);
show('process', array_map(fn(array $one): array => array_intersect_key($one, ['requests' => 0, 'state' => 0, 'request-method' => 0, 'script' => 0]), fpm_get_status()['procs']));
$status = [ini_set('precision', '5'), mt_srand(3), mt_rand(), rand(), random_int(5, 5), serialize(0.1 + 0.2), crc32('x'), bin2hex(pack('d', 0.1)), number_format(12345.678, 2)];
show('seeded', $status);
register_shutdown_function(fn() => show('at the end', [error_get_last(), ob_get_level(), memory_get_usage(true)]));
echo "hits: ", is_array($cache) ? $cache['opcache_statistics']['hits'] : 0, "\n";
echo "accepted: ", fpm_get_status()['accepted-conn'], "\n";
