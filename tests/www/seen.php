<?php
// The request as PHP understood it, byte for byte, on few lines: for comparisons by the thousand.
$_SERVER['REQUEST_TIME'] = $_SERVER['REQUEST_TIME_FLOAT'] = 0;
$all = getenv();
unset($all['REQUEST_TIME'], $all['REQUEST_TIME_FLOAT']);
foreach ([$_SERVER, $all, getallheaders(), [__FILE__, getcwd(), getenv('PATH_INFO'), filter_input(INPUT_SERVER, 'SCRIPT_NAME')]] as $part) {
    foreach ($part as $name => $value) {
        echo $name, '=', addcslashes(is_string($value) ? "'$value'" : json_encode($value), "\0..\37\\\177..\377"), "\n";
    }
    echo "--\n";
}
