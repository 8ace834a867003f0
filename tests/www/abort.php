<?php // Writes on and on; leaves a note of how it ended in out/aborted.
register_shutdown_function(function () {
    file_put_contents(dirname(__DIR__) . '/out/aborted', connection_status());
});
for ($i = 0; $i < 400; $i++) {
    echo str_repeat('x', 20000);
    flush();
    usleep(5000);
}
