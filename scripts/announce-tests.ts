import { createVitest } from 'vitest/node';

/** What all of `npm test` takes on a machine with two cores that does nothing else; measured, see CONTRIBUTING.md. */
const MINUTES = 10;

/** Says before `npm test` what it does and how long that takes. Reads the files of tests, and runs none of them. */
const vitest = await createVitest('test', { watch: false, reporters: [] });
const files = await vitest.experimental_parseSpecifications(await vitest.globTestSpecifications());
const tests = files.reduce((sum, { children }) => sum + [...children.allTests()].length, 0);
await vitest.close();
process.stdout.write(
  `npm test: lint, types, unused code, build, then running ${tests} tests in ${files.length} files, many of them with several cases; about ${MINUTES} minutes on a quiet machine with two cores\n`,
);
