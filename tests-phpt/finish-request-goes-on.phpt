--TEST--
FPM: fastcgi_finish_request() lets the script go on, on kept connections too
--SKIPIF--
<?php include "skipif.inc"; ?>
--FILE--
<?php

require_once "tester.inc";

$cfg = <<<EOT
[global]
error_log = {{FILE:LOG}}
[unconfined]
listen = {{ADDR}}
pm = static
pm.max_children = 1
EOT;

$code = <<<'EOT'
<?php
$done = [];
register_shutdown_function(function () use (&$done) {
    $done[] = 'shutdown';
    file_put_contents("$_GET[to].new", implode(' ', $done));
    rename("$_GET[to].new", $_GET['to']);
});
set_time_limit(77);
ini_set('session.use_cookies', 0);
session_save_path(__DIR__);
session_id('finishrequest');
session_start();
echo "answer";
$done[] = var_export(fastcgi_finish_request(), true);
echo "lost";
flush();
ob_start();
echo "lost";
ob_flush();
@header('X-Lost: 1');
$done[] = var_export(fastcgi_finish_request(), true);
$done[] = session_status() === PHP_SESSION_ACTIVE ? 'session' : 'no session';
$done[] = getcwd() === __DIR__ ? 'here' : getcwd();
$done[] = ini_get('max_execution_time');
$done[] = connection_status();
session_destroy();
EOT;

$tester = new FPM\Tester($cfg, $code);
$tester->start();
$tester->expectLogStartNotices();
foreach ([false, true, true] as $kept) {
    $file = tempnam(sys_get_temp_dir(), 'finish');
    unlink($file);
    $tester->request('to=' . urlencode($file), connKeepAlive: $kept)->expectBody('answer');
    for ($i = 0; $i < 1000 && !file_exists($file); $i++) {
        usleep(10000);
        clearstatcache();
    }
    $report = @file_get_contents($file);
    @unlink($file);
    if ($report !== 'true false session here 77 0 shutdown') {
        echo 'kept ', var_export($kept, true), ": $report\n";
    }
}
$tester->terminate();
$tester->expectLogTerminatingNotices();
$tester->close();

?>
Done
--EXPECT--
Done
--CLEAN--
<?php
require_once "tester.inc";
FPM\Tester::clean();
?>
