"""What acts: the loop, the lanes, the driver of handlers, timers, recovery. Thin; decisions are in the core."""
