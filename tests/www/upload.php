<?php // Size and checksum of the uploaded file, before and after it was moved.
$file = $_FILES['file'] ?? ['error' => 'nothing uploaded', 'tmp_name' => ''];
if ($file['error'] !== UPLOAD_ERR_OK) {
    exit('error ' . $file['error']);
}
$sum = hash_file('crc32b', $file['tmp_name']);
$to = dirname(__DIR__) . '/out/' . getmypid();
$moved = move_uploaded_file($file['tmp_name'], $to);
echo filesize($to), ' ', $sum, ' ', $moved && hash_file('crc32b', $to) === $sum ? 'moved' : 'not moved';
unlink($to);
