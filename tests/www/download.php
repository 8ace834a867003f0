<?php // kb=N: so many KB, each 1,023 times a letter and a line end.
header('Content-Type: application/octet-stream');
for ($kb = 0; $kb < $_GET['kb']; $kb++) {
    echo str_repeat(chr(97 + $kb % 26), 1023), "\n";
}
