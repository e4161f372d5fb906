import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { describe, expect, it } from 'vitest';
import { IMAGE, WITHOUT_IMAGE } from './image.ts';

const run = promisify(execFile);
const REPOSITORY = join(import.meta.dirname, '../..');
const FILE = IMAGE.replace(/-oci\.tar$/, '.cdx.json');

interface Sbom {
  readonly components: readonly { readonly name: string; readonly purl: string; readonly version: string }[];
}

async function make(): Promise<string> {
  await run(process.execPath, ['--import', 'tsx', 'scripts/build-sbom.ts'], { cwd: REPOSITORY });
  return readFile(FILE, 'utf8');
}

describe.skipIf(WITHOUT_IMAGE !== '')(`the list of components${WITHOUT_IMAGE}`, () => {
  it('is as CycloneDX demands, and has what the lock file locks, Node, and the libraries of the image; from one commit the same bytes', async () => {
    const text = await make();
    expect(await new Validation.JsonStrictValidator(Spec.Version.v1dot5).validate(text)).toBeNull();
    const { components } = JSON.parse(text) as Sbom;
    const purls = components.map(({ purl }) => purl);
    const lock = JSON.parse(await readFile(join(REPOSITORY, 'package-lock.json'), 'utf8')) as {
      readonly packages: Readonly<Record<string, { readonly version: string; readonly dev?: boolean }>>;
    };
    for (const [path, { version, dev = false }] of Object.entries(lock.packages)) {
      const name = path.split('node_modules/').at(-1) ?? '';
      if (name === '' || dev) continue;
      expect(purls).toContain(`pkg:npm/${name.replace('@', '%40')}@${version}`);
    }
    expect(components.filter(({ name }) => /^node-linux-/.test(name))).toHaveLength(2);
    expect(purls.filter((purl) => purl.startsWith('pkg:deb/debian/libc6@'))).toHaveLength(2);
    expect(text).not.toMatch(/"resolved"|registry/);
    expect(await make()).toBe(text);
  });
});
