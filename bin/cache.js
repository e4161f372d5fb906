#!/usr/bin/env node
// An old Node would find every store damaged, so this checks the version before it loads any other file. Any Node can parse it,
// as a module or as CommonJS: `import()` is in a string, because Node 8 doesn't know it. The build copies this file to
// dist/cli/main.js. npx links it into a folder of its own before anything is built, and never again.
var found = process.versions.node;
var numbers = found.split('.').map(Number);
if (numbers[0] < 20 || (numbers[0] === 20 && numbers[1] < 18)) {
  refuse(
    'this is Node ' + found + ', and Node 20.18 or newer is needed; install one, or put it first in PATH',
  );
} else {
  eval('import("../dist/cli/run.js")').then(start, explain);
}

function start(program) {
  return program.run();
}

function explain(error) {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  refuse('not built yet; run this where its package.json is: npm ci');
}

function refuse(reason) {
  process.stderr.write('cache: ' + reason + '\n');
  process.exitCode = 2;
}
