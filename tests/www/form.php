<?php // The posted fields, sorted by nobody.
header('Content-Type: application/json');
echo json_encode($_POST);
