--TEST--
FPM: error log and access log as JSON, an object a line
--SKIPIF--
<?php include "skipif.inc"; ?>
--FILE--
<?php

require_once "tester.inc";

$cfg = <<<EOT
[global]
error_log = {{FILE:LOG}}
log_format = json
[unconfined]
listen = {{ADDR}}
pm = static
pm.max_children = 1
access.log = {{FILE:LOG:ACC}}
access.format = json
catch_workers_output = yes
EOT;

$code = <<<'EOT'
<?php
error_log("two\nlines");
echo 'answered';
EOT;

$tester = new FPM\Tester($cfg, $code);
$tester->start();
$tester->expectLogPattern('/^\{"time":"[0-9T:.-]+Z","level":"notice","message":"ready to handle connections"\}$/');
$tester->request('a=1')->expectBody('answered');
$tester->expectLogPattern('/"message":"PHP message: two\\\\nlines","pool":"unconfined","pid":\d+,"stream":"stderr"/');
$tester->terminate();
$tester->expectLogPattern('/^\{.*"level":"notice","message":"Terminating \.\.\."\}$/');
$tester->close();

$lines = file($tester->getPrefixedFile('acc.log'));
foreach ($lines as $line) {
    $object = json_decode($line, flags: JSON_THROW_ON_ERROR);
    if (str_ends_with($object->uri ?? '', '.src.php')) {
        echo $object->method, ' ', $object->query, ' ', $object->status, ' ', $object->pool, "\n";
    }
}
?>
Done
--EXPECT--
GET a=1 200 unconfined
Done
--CLEAN--
<?php
require_once "tester.inc";
FPM\Tester::clean();
?>
