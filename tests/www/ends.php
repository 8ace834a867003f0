<?php // how=...: the ways a script can end.
switch ($_GET['how']) {
    case 'fatal': no_such_function(); break;
    case 'exception': throw new RuntimeException('nobody catches this');
    case 'exit': exit('exited');
    case 'memory': ini_set('memory_limit', '16M'); str_repeat('x', 100 << 20); break;
    case 'time': set_time_limit(1); for (;;); // no break
    case 'parse': eval('this is no PHP');
}
echo 'ended';
