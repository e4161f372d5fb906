#!/usr/bin/env node
// Whatever this file imported would be loaded before its first line is run. An old Node would find every store damaged, so
// the version is looked at before anything else. Node 10 parses this, and takes it for CommonJS.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 18)) {
  process.stderr.write(
    `cache: this is Node ${process.versions.node}, and Node 20.18 or newer is needed; install one, or put it first in PATH\n`,
  );
  process.exitCode = 2;
} else void import('./run.ts');
