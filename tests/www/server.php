<?php // A page that reads $_SERVER.
$n = 0;
foreach ($_SERVER as $name => $value) {
    $n += strlen($name);
}
echo $n > 0 ? 'server' : 'nothing';
