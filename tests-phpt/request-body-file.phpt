--TEST--
FPM: REQUEST_BODY_FILE is the body of forms, uploads and php://input
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
$input = fopen('php://input', 'rb');
$raw = stream_get_contents($input);
$end = fseek($input, -3, SEEK_END) . fread($input, 9);
$start = fseek($input, 0) . fread($input, 3);
$copies = 0;
foreach (scandir('/proc/self/fd') as $fd) {
    $copies += str_starts_with((string) @readlink("/proc/self/fd/$fd"), ini_get('upload_tmp_dir'));
}
$file = $_FILES['file'] ?? null;
echo json_encode([
    array_map('strlen', $_POST), $file ? [$file['size'], is_uploaded_file($file['tmp_name'])] : [],
    strlen($raw), $start, $end, $copies,
]);
EOT;

$uploads = __DIR__ . '/request-body-file-uploads';
@mkdir($uploads);
chmod($uploads, 0777);
$body = tempnam(sys_get_temp_dir(), 'body');
chmod($body, 0644);
$form = 'application/x-www-form-urlencoded';
$multipart = 'multipart/form-data; boundary=edge';
$parts = "--edge\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n12345\r\n" .
    "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" . str_repeat('f', 1 << 20) . "\r\n--edge--\r\n";
$long = 'a=1&b=' . str_repeat('x', 1 << 20) . 'end';
$cases = [
    ['POST', $form, 'a=1&b=two', [['a' => 1, 'b' => 3], [], 9, '0a=1', '0two', 0]],
    ['POST', $form, $long, [['a' => 1, 'b' => (1 << 20) + 3], [], strlen($long), '0a=1', '0end', 0]],
    ['POST', $multipart, $parts, [['a' => 5], [1 << 20, true], 0, '0', '-1', 0]],
    ['POST', 'application/json', '[1,2,3]', [[], [], 7, '0[1,', '0,3]', 0]],
    ['POST', '', $long, [[], [], strlen($long), '0a=1', '0end', 0]],
    ['PUT', 'text/plain', $long, [[], [], strlen($long), '0a=1', '0end', 0]],
    ['PATCH', $form, 'a=1&b=two', [[], [], 9, '0a=1', '0two', 0]],
    ['PUT', $multipart, $parts, [[], [], strlen($parts), '0--e', "0-\r\n", 0]],
];
$tester = new FPM\Tester($cfg, $code);
$tester->start(iniEntries: ['upload_tmp_dir' => $uploads, 'post_max_size' => '16M', 'upload_max_filesize' => '16M']);
$tester->expectLogStartNotices();
foreach ($cases as [$method, $type, $content, $wanted]) {
    file_put_contents($body, $content);
    // Without an announced length the file's counts.
    foreach ([strlen($content), ''] as $length) {
        $seen = $tester->request('', [
            'REQUEST_METHOD' => $method, 'CONTENT_TYPE' => $type, 'CONTENT_LENGTH' => $length, 'REQUEST_BODY_FILE' => $body,
        ])->getBody();
        if ($seen !== json_encode($wanted)) {
            echo "$method $type $length: $seen\n";
        }
    }
}
// nginx sends an empty name where there is no body; a body that comes on the connection is one.
foreach (['GET', 'HEAD', 'POST'] as $method) {
    $tester->request('', ['REQUEST_METHOD' => $method, 'CONTENT_LENGTH' => '', 'REQUEST_BODY_FILE' => ''])->expectNoStatus();
}
$seen = $tester->request('', ['CONTENT_TYPE' => $form, 'REQUEST_BODY_FILE' => ''], stdin: 'a=1&b=two')->getBody();
if ($seen !== json_encode($cases[0][3])) {
    echo "on the connection: $seen\n";
}
array_map('unlink', glob("$uploads/*"));
rmdir($uploads);
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
