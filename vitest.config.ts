import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real sockets, real archives and child processes: two cores are easily kept busy.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
    globalSetup: ['test/fixtures/run-folder.ts'],
    setupFiles: [
      'test/fixtures/umask.ts',
      'test/fixtures/folder-in-memory.ts',
      'test/fixtures/end-children.ts',
    ],
    alias: [
      {
        find: /^.*\/cache\/worker-program\.ts$/,
        replacement: join(import.meta.dirname, 'test/fixtures/worker-program.ts'),
      },
    ],
    // Threads would share process.umask, cwd and signal handlers with the tests.
    pool: 'forks',
    // Tests wait more than they compute: a third worker uses what two leave.
    maxWorkers: 3,
  },
});
