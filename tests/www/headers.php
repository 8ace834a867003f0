<?php // A status, repeated headers, cookies in and out.
header('Status: 418 I am a teapot');
header('X-One: first');
header('X-One: second', false);
setcookie('color', 'green & blue', ['path' => '/', 'httponly' => true]);
setcookie('size', '42');
echo json_encode($_COOKIE);
