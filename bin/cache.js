#!/usr/bin/env node
// npx links this into a folder of its own before anything is built, and never again.
import('../dist/cli/main.js').catch((error) => {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  process.stderr.write('cache: not built yet; run this where its package.json is: npm ci\n');
  process.exitCode = 2;
});
