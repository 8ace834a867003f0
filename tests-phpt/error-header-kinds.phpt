--TEST--
FPM: fastcgi.error_header for all that ends a script, whatever display_errors and output_buffering say
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
php_admin_value[fastcgi.error_header] = "HTTP/1.0 550 Server Made Big Boo"
EOT;

$code = <<<'EOT'
<?php
switch ($_GET['how'] ?? '') {
    case 'fatal': eval('final class A {} class B extends A {}'); break;
    case 'undefined': no_such_function(); break;
    case 'exception': throw new Exception('x');
    case 'user': error_reporting(E_ALL & ~E_DEPRECATED); trigger_error('x', E_USER_ERROR); break;
    case 'memory': ini_set('memory_limit', '4M'); str_repeat('x', 64 << 20); break;
    case 'time': set_time_limit(1); while (true);
    case 'status': http_response_code(404); no_such_function(); break;
    case 'exit': exit(255);
    case 'caught': try { no_such_function(); } catch (Error) {} break;
    case 'sent': echo 'out'; while (ob_get_level()) ob_end_flush(); flush(); no_such_function(); break;
    case 'finished': fastcgi_finish_request(); no_such_function(); break;
}
EOT;

$broken = __DIR__ . '/error-header-broken.src.php';
file_put_contents($broken, '<?php if (;');
$tester = new FPM\Tester($cfg, $code);
$tester->start();
$tester->expectLogStartNotices();
foreach ([0, 1] as $display) {
    foreach ([0, 4096] as $buffer) {
        $ini = ['PHP_ADMIN_VALUE' => "display_errors=$display\noutput_buffering=$buffer"];
        foreach (['fatal', 'undefined', 'exception', 'user', 'memory', 'time', 'status', 'exit'] as $how) {
            $tester->request("how=$how", $ini)->expectStatus('550 Server Made Big Boo');
            // The next request knows nothing of it.
            $tester->request('', $ini)->expectNoStatus();
        }
        $tester->request('', $ini, scriptFilename: $broken)->expectStatus('550 Server Made Big Boo');
        foreach (['caught', 'sent', 'finished'] as $how) {
            $tester->request("how=$how", $ini)->expectNoStatus();
        }
    }
}
unlink($broken);
$tester->terminate();
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
