<?php header("Content-Length: 3"); echo "ok\n"; ?>

