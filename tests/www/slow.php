<?php // how=…: a way to take long; seconds=N. Says whether it was let to its end.
function nap() {
    $left = sleep((int) $_GET['seconds']);
    echo $left === 0 ? 'whole' : "cut short by $left";
}

// Blocks every signal that can be blocked.
function stubborn() {
    pcntl_sigprocmask(SIG_BLOCK, range(1, 31));
    nap();
}

function spin() {
    set_time_limit(0);
    for ($end = hrtime(true) + $_GET['seconds'] * 1e9; hrtime(true) < $end;);
    echo 'whole';
}

function wait() {
    [$mine, $other] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
    stream_set_timeout($mine, (int) $_GET['seconds']);
    fread($mine, 1);
    echo 'whole';
}

function deep(int $levels = 2000) {
    $levels > 0 ? deep($levels - 1) : nap();
}

function finished() {
    echo 'whole';
    fastcgi_finish_request();
    nap();
}

class Place {
    function method(string $how) {
        array_map(fn ($f) => $f(), [$how]);
    }
}

if (!function_exists('pcntl_sigprocmask') && $_GET['how'] === 'stubborn') exit('no pcntl');
(new Place)->method($_GET['how']);
