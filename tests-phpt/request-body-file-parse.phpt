--TEST--
FPM: request_parse_body() reads REQUEST_BODY_FILE, also after php://input, within its own limits
--SKIPIF--
<?php
include "skipif.inc";
if (PHP_VERSION_ID < 80400) die("skip request_parse_body() is new in 8.4");
?>
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
$read = isset($_GET['read']) ? strlen(file_get_contents('php://input')) : 0;
try {
    [$post, $files] = request_parse_body(isset($_GET['limit']) ? ['post_max_size' => $_GET['limit']] : null);
    echo json_encode([$read, $post, array_column($files, 'size', 'name'), strlen(file_get_contents('php://input')), $_POST]);
} catch (RequestParseBodyException $e) {
    echo $e->getMessage();
}
EOT;

$body = tempnam(sys_get_temp_dir(), 'body');
chmod($body, 0644);
$form = 'a=1&b=two';
$parts = "--edge\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n12345\r\n" .
    "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" . str_repeat('f', 1 << 16) . "\r\n--edge--\r\n";
$tester = new FPM\Tester($cfg, $code);
$tester->start();
$tester->expectLogStartNotices();
foreach (['', 'read', 'limit=8', 'read&limit=8'] as $query) {
    foreach (['application/x-www-form-urlencoded' => $form, 'multipart/form-data; boundary=edge' => $parts] as $type => $content) {
        file_put_contents($body, $content);
        $length = strlen($content);
        $seen = $tester->request($query, [
            'REQUEST_METHOD' => 'PUT', 'CONTENT_TYPE' => $type, 'CONTENT_LENGTH' => $length, 'REQUEST_BODY_FILE' => $body,
        ])->getBody();
        $read = str_starts_with($query, 'read') ? $length : 0;
        $parsed = $content === $form ? [['a' => '1', 'b' => 'two'], []] : [['a' => '12345'], ['f' => 1 << 16]];
        $complaint = "POST Content-Length of $length bytes exceeds the limit of 8 bytes";
        $wanted = json_encode([$read, ...$parsed, $length, []]);
        if (str_contains($query, 'limit')) {
            // PHP throws for one kind of form, and warns and gives nothing for the other.
            $wanted = $content === $form ? json_encode([$read, [], [], $length, []]) : $complaint;
            $seen = str_contains($seen, $complaint) ? preg_replace('/^.*<br \/>\s*/s', '', $seen) : "silently $seen";
        }
        if ($seen !== $wanted) {
            echo "$query, $type: $seen in place of $wanted\n";
        }
    }
}
unlink($body);
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
