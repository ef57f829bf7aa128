/**
 * The first line of a script. With it Redis refuses all of the script when it would refuse a write. Without it, it looks at
 * the first write alone: a script that begins with an XDEL, which frees memory, would go on to fill a Redis that is full.
 */
export const REFUSED_WHEN_FULL = "#!lua\n";

/** The same for a script that takes no more room than it frees. */
export const TAKEN_WHEN_FULL = "#!lua flags=allow-oom\n";
