<?php
// The handler of the zoo for PHP's built-in server.
if ($_SERVER['REQUEST_METHOD'] === 'POST') file_get_contents('php://input');
$body = 'path=' . $_SERVER['REQUEST_URI'] . "\n";
header('Content-Type: text/plain');
header('Content-Length: ' . strlen($body));
echo $body;
