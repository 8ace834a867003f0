<?php // Starts a process that outlives the request by a moment.
exec('sh -c "sleep 0.3 & echo left" 2>/dev/null', $lines);
echo implode($lines);
