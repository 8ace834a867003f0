<?php echo 'v1';
