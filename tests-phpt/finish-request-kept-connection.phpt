--TEST--
FPM: fastcgi_finish_request() frees a kept connection for other workers; the status page says Finishing
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
pm.max_children = 3
pm.status_path = /status
EOT;

$code = <<<'EOT'
<?php
echo getmypid();
if (isset($_GET['until'])) {
    fastcgi_finish_request();
    for ($i = 0; $i < 3000 && !file_exists($_GET['until']); $i++) {
        usleep(10000);
        clearstatcache();
    }
}
EOT;

$tester = new FPM\Tester($cfg, $code);
$tester->start();
$tester->expectLogStartNotices();
$file = tempnam(sys_get_temp_dir(), 'finish');
unlink($file);
$query = 'until=' . urlencode($file);
$first = $tester->request($query, connKeepAlive: true)->getBody();
$second = $tester->request($query, connKeepAlive: true)->getBody();
$third = $tester->request(connKeepAlive: true)->getBody();
if (count(array_unique([$first, $second, $third])) !== 3) {
    echo "served by $first, $second, $third\n";
}
$status = json_decode($tester->request('json&full', uri: '/status')->getBody('application/json'), true);
$states = array_column($status['processes'], 'state', 'pid');
if ($states[$first] !== 'Finishing' || $states[$second] !== 'Finishing') {
    var_dump($states);
}
touch($file);
for ($i = 0; $i < 1000; $i++) {
    $status = json_decode($tester->request('json&full', uri: '/status')->getBody('application/json'), true);
    $states = array_count_values(array_column($status['processes'], 'state'));
    if (($states['Finishing'] ?? 0) === 0) {
        break;
    }
    usleep(10000);
}
var_dump($states['Idle'] ?? 0);
unlink($file);
$tester->terminate();
$tester->expectLogTerminatingNotices();
$tester->close();

?>
Done
--EXPECT--
int(2)
Done
--CLEAN--
<?php
require_once "tester.inc";
FPM\Tester::clean();
?>
