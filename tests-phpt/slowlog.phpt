--TEST--
FPM: a slow request is traced while it goes on to its end
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
slowlog = {{FILE:LOG:SLOW}}
request_slowlog_timeout = 1
EOT;

$code = <<<'EOT'
<?php
function nap($seconds) { return sleep($seconds); }
echo nap((int) $_GET['seconds']) === 0 ? 'whole' : 'cut short';
EOT;

$tester = new FPM\Tester($cfg, $code);
$tester->start();
$tester->expectLogStartNotices();
$tester->request('seconds=2')->expectBody('whole');
$tester->expectLogPattern('/\[pool unconfined\] child \d+, script \'.*\' \(request: "GET .*\?seconds=2"\) executing too slow \(1\.\d{6} sec\), logging/');
$tester->terminate();
$tester->expectLogTerminatingNotices();
$tester->close();

$entry = file_get_contents($tester->getPrefixedFile('slow.log'));
echo preg_replace(['/\d\d-\w+-\d{4} \d\d:\d\d:\d\d/', '/pid \d+/', '/0x[0-9a-f]{16}/', '~/\S+/~'], ['DATE', 'pid PID', 'ADDRESS', ''], $entry);

?>
Done
--EXPECT--

[DATE]  [pool unconfined] pid PID
script_filename = slowlog.src.php
[ADDRESS] sleep() slowlog.src.php:2
[ADDRESS] nap() slowlog.src.php:3
Done
--CLEAN--
<?php
require_once "tester.inc";
FPM\Tester::clean();
?>
