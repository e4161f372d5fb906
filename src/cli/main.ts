import { run } from './run.ts';

// The start of the executable, whose Node is its own; bin/cache.js starts the program on any other.
void run();
