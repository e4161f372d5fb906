#!/usr/bin/env node
// An old Node would find every store damaged, so this checks the version before it loads any other file: an import would
// be loaded first. Node 10 can parse this file, as CommonJS.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 18)) {
  process.stderr.write(
    `cache: this is Node ${process.versions.node}, and Node 20.18 or newer is needed; install one, or put it first in PATH\n`,
  );
  process.exitCode = 2;
} else void import('./run.ts').then(({ run }) => run());
