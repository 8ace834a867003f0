<?php // ms=N: works that long (sleeping) and says whether it got the whole time.
$start = hrtime(true);
usleep($_GET['ms'] * 1000);
echo hrtime(true) - $start >= $_GET['ms'] * 1_000_000 ? 'done' : 'cut short';
