<?php // Sleeps for 30 s and has every signal blocked that can be.
pcntl_sigprocmask(SIG_BLOCK, [SIGTERM, SIGQUIT, SIGINT, SIGUSR1, SIGUSR2, SIGALRM]);
file_put_contents($_GET['mark'] ?? '/dev/null', 'x');
for ($end = hrtime(true) + 30_000_000_000; hrtime(true) < $end; usleep(100_000));
echo 'done';
