<?php // Length of the request's X-Big header; answers with one of out=N bytes.
header('X-Big: ' . str_repeat('b', $_GET['out']));
echo strlen($_SERVER['HTTP_X_BIG'] ?? '');
