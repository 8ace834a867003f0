<?php // When the opcode cache started that this worker shares, and this worker's pid.
echo opcache_get_status(false)['opcache_statistics']['start_time'], ' ', getmypid();
