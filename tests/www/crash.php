<?php // Dies of a fault: signal=N, 11 unless given.
posix_kill(posix_getpid(), (int) ($_GET['signal'] ?? 11));
usleep(100_000);
echo 'survived';
