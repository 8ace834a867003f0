<?php
// Facts about this worker, one per line. In a chroot there is no /proc, and only the directories are printed.
foreach (@file('/proc/self/status') ?: [] as $line) {
    if (preg_match('/^(Uid|Gid|Groups|Umask|Cap\w+|NoNewPrivs|CoreDumping|Threads):/', $line)) {
        echo preg_replace('/\s+/', ' ', trim($line)), "\n";
    }
}
foreach (@file('/proc/self/limits') ?: [] as $line) {
    if (preg_match('/^Max (open files|core file size|processes|nice priority)/', $line)) {
        echo preg_replace('/\s+/', ' ', trim($line)), "\n";
    }
}
if ($stat = @file_get_contents('/proc/self/stat')) {
    echo 'nice ', explode(' ', substr($stat, strrpos($stat, ')') + 2))[16], "\n";
    // Its files belong to root if the process is not dumpable.
    echo 'environ of ', fileowner('/proc/self/environ'), "\n";
    echo 'root ', readlink('/proc/self/root'), "\n";
}
foreach (['USER', 'HOME'] as $name) {
    echo $name, ' ', var_export(getenv($name), true), "\n";
}
touch($file = ini_get('upload_tmp_dir') . '/made-' . getmypid());
if (is_file($file)) {
    printf("made %o by %d, %d\n", fileperms($file), fileowner($file), filegroup($file));
    unlink($file);
}
// After the script has ended, the worker's working directory is that of the pool again.
register_shutdown_function(function () {
    echo 'directory ', var_export(getcwd(), true), "\n";
    echo 'in the root ', implode(' ', array_diff(@scandir('/') ?: [], ['.', '..'])), "\n";
});
