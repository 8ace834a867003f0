--TEST--
FPM: REQUEST_BODY_FILE that can't be the body is answered by 500 and one line in the log
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
catch_workers_output = yes
EOT;

$body = tempnam(sys_get_temp_dir(), 'body');
file_put_contents($body, '0123456789');
chmod($body, 0644);
$fifo = "$body.fifo";
posix_mkfifo($fifo, 0666);
chmod($fifo, 0666);
$link = "$body.link";
symlink('/etc/passwd', $link);
$cases = [
    ["$body.missing", 10, "does not exist here: the web server must run on this machine"],
    [dirname($body), 10, 'is not a regular file: name the file'],
    [$fifo, 10, 'is not a regular file'],
    [$fifo, '', 'is not a regular file'],
    [$link, '', 'is a symbolic link: name the file itself'],
    [$body, 11, 'has 10 bytes, but CONTENT_LENGTH is 11'],
    [$body, 9, 'has 10 bytes, but CONTENT_LENGTH is 9'],
    [$body, -1, 'has 10 bytes, but CONTENT_LENGTH is -1'],
];
if (!getenv('TEST_FPM_RUN_AS_ROOT')) {
    $hidden = "$body.hidden";
    file_put_contents($hidden, '0123456789');
    chmod($hidden, 0);
    $cases[] = [$hidden, 10, "cannot be read by the pool's user: only nginx's user can read the bodies"];
}

$tester = new FPM\Tester($cfg, '<?php echo "ran";');
$tester->start();
$tester->expectLogStartNotices();
foreach ($cases as [$file, $length, $reason]) {
    foreach (['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'multipart/form-data', 'text/plain'] as $type) {
        $start = microtime(true);
        $response = $tester->request('', [
            'REQUEST_METHOD' => 'POST', 'CONTENT_TYPE' => $type, 'CONTENT_LENGTH' => $length, 'REQUEST_BODY_FILE' => $file,
        ]);
        $response->expectStatus('500 Internal Server Error')->expectErrorPattern("#^REQUEST_BODY_FILE: '$file' " . preg_quote($reason, '#') . '[^\n;]*$#');
        if (microtime(true) - $start > 5) {
            echo "$file: late\n";
        }
        $tester->expectLogPattern("#REQUEST_BODY_FILE: '$file' " . preg_quote($reason, '#') . '#');
    }
}
$tester->expectNoLogMessages();
$tester->request('', ['REQUEST_METHOD' => 'POST', 'CONTENT_LENGTH' => 10, 'REQUEST_BODY_FILE' => $body])->expectBody('ran');
array_map('unlink', glob("$body*"));
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
