<?php
// The page that `make run` serves. It shows that the request arrived, and links to phpinfo().
if (isset($_GET['phpinfo'])) {
    phpinfo();
    return;
}
header('Content-Type: text/html; charset=utf-8');
?>
<!doctype html>
<title>php-cgi --fpm</title>
<h1>It works</h1>
<p>PHP <?= PHP_VERSION ?>, SAPI <?= PHP_SAPI ?>, worker <?= getmypid() ?>, user <?= posix_geteuid() ?>,
   <?= htmlspecialchars($_SERVER['REQUEST_METHOD'] . ' ' . $_SERVER['REQUEST_URI']) ?></p>
<p><a href="?phpinfo">phpinfo()</a></p>
