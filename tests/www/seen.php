<?php
// The request as PHP understood it, byte for byte, on few lines: for thousands of comparisons.
function show(array $values): void
{
    foreach ($values as $name => $value) {
        $text = is_string($value) ? "'$value'" : json_encode($value, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES);
        echo addcslashes("$name=$text", "\0..\37\\\177..\377"), "\n";
    }
    echo "--\n";
}

$times = ['REQUEST_TIME' => 0, 'REQUEST_TIME_FLOAT' => 0];
show(array_diff_key($_SERVER, $times));
show(array_diff_key(getenv(), $times));
show(getallheaders());
show(['file' => __FILE__, 'cwd' => getcwd(), getenv('PATH_INFO'), filter_input(INPUT_SERVER, 'SCRIPT_NAME')]);
show([$_GET, $_POST, $_COOKIE, array_map(fn(array $file): array => ['tmp_name' => ''] + $file, $_FILES)]);
show([file_get_contents('php://input'), $argv ?? null, error_get_last()]);
if (isset($_SERVER['PHP_VALUE']) || isset($_SERVER['PHP_ADMIN_VALUE'])) {
    show(ini_get_all());
}
