<?php // ms=N: sleeps that long in all and says whether something ended the sleep before its time.
$end = hrtime(true) + $_GET['ms'] * 1_000_000;
for ($sleeps = 0; hrtime(true) < $end; $sleeps++) {
    usleep(max(1, intdiv($end - hrtime(true), 1000) + 1));
}
echo $sleeps <= 1 ? 'done' : 'its sleep was cut short';
