--TEST--
FPM: the original patch's XML php-fpm.conf serves, logs in its form, reloads, and is told what is wrong with it
--SKIPIF--
<?php include "skipif.inc"; ?>
--FILE--
<?php

require_once "tester.inc";

$xml = <<<XML
<?xml version="1.0" ?>
<configuration>
    free text
    <section name="global_options">
        <value name="pid_file">{{FILE:PID}}</value>
        <value name="error_log">{{FILE:LOG}}</value>
        <value name="log_level">notice</value>
    </section>
    <workers>
        <section name="pool">
            <value name="name">unconfined</value>
            <value name="listen_address">{{ADDR}}</value>
            <value name="user">{{USER}}</value>
            <value name="php_defines"><value name="memory_limit">77M</value></value>
            <value name="environment"><value name="ERA">2007</value></value>
            <value name="pm">
                <value name="style">apache-like</value>
                <value name="max_children">2</value>
            </value>
        </section>
    </workers>
</configuration>
XML;

$code = <<<EOT
<?php
echo getenv('ERA'), ' ', ini_get('memory_limit'), ' ', ini_set('memory_limit', '88M') === false ? 'fixed' : 'free';
EOT;

// Broken: what -tt says, without the lines' beginning.
$broken = new FPM\Tester(str_replace('>notice<', '>warning<', $xml), $code);
foreach ($broken->testConfig(true) ?? ['it was accepted'] as $line) {
    // testConfig() has taken the level out.
    echo preg_replace(['/^.*fpm\(\), line 1: /', "/'[^']*ini'/", '/\[.*?:(\d+)\]/'], ['', "'FILE'", '[FILE:$1]'], $line), "\n";
}

$tester = new FPM\Tester($xml, $code);
$tester->start();
$stamp = '[A-Z][a-z]{2} [0-9]{2} [0-9:]{8}\.[0-9]{6} \[NOTICE\] fpm\(\), line 1: ';
$tester->expectLogPattern("/^{$stamp}ready to handle connections$/");
$tester->request()->expectBody('2007 77M fixed');
$tester->reload();
$tester->expectLogPattern("/^{$stamp}Reloading in progress \.\.\.$/");
$tester->expectLogPattern("/^{$stamp}ready to handle connections$/");
$tester->request()->expectBody('2007 77M fixed');
$tester->terminate();
$tester->expectLogPattern("/^{$stamp}exiting, bye-bye!$/");
$tester->close();

?>
Done
--EXPECT--
[FILE:7] log_level: invalid value for 'log_level': 'warning'
[FILE:7] hint: a log level is one of debug, notice, warn, error and alert, in lower case
failed to load configuration file 'FILE'
FPM initialization failed
Done
--CLEAN--
<?php
require_once "tester.inc";
FPM\Tester::clean();
?>
