<?php // The posted fields, unsorted.
header('Content-Type: application/json');
echo json_encode($_POST);
