<?php // What came as a body and as parameters.
$body = file_get_contents('php://input');
echo strlen($body), ' ', hash('crc32b', $body), ' ', $_SERVER['X_TEST'] ?? '';
