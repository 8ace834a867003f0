<?php // Leaves a process behind that ends a moment later.
exec('sh -c "sleep 0.3 & echo left" 2>/dev/null', $lines);
echo implode($lines);
