import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Of `npm test`, on a quiet machine with two cores; see CONTRIBUTING.md. */
const MINUTES = 10;

/** Says what `npm test` does and how long that takes. A test with several cases counts once. */
const names = await readdir('test', { recursive: true });
const files = names.filter((name) => name.endsWith('.test.ts'));
const texts = await Promise.all(files.map((name) => readFile(join('test', name), 'utf8')));
const tests = texts.reduce((sum, text) => sum + (text.match(/^ *it\b/gm) ?? []).length, 0);
process.stdout.write(
  `checks lint, types and unused code, builds, then runs ${tests} tests, many with several cases: about ${MINUTES} minutes on two quiet cores\n`,
);
