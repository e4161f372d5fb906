import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, describe, beforeEach } from 'vitest';
import { z } from 'zod';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import { blobName } from '../../src/cache/layout.ts';
import { JSON_ERROR, JSON_OUTPUT } from '../../src/cli/json-schemas.ts';
import { createProgram } from '../../src/cli/program.ts';
import { unsignedEntry } from '../fixtures/entries.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { addBlob, addRelease, BOOKWORM } from '../operations/test-store.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { resultOf, runCache, startCache, type CommandResult } from './command.ts';
import { serveFrom } from './served.ts';
import { makeSite, urlOf, type Site } from './upkeep-site.ts';

type Name = keyof typeof JSON_OUTPUT;
const NAMES = Object.keys(JSON_OUTPUT) as readonly Name[];

const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';
const OS = ['--os', 'ubuntu-22.04', '--multiarch', 'x86_64-linux-gnu'];
const PYPI = parseKey('pypi:slapos.core=1.24');
const UBUNTU = { multiarch: 'x86_64-linux-gnu', os: ['ubuntu', '22.04', 'jammy'] };

let site: Site;

beforeEach(async () => {
  site = await makeSite(`[pin]\nkeep = ${urlOf(2)}\n`);
  for (const number of [0, 1, 2])
    await addRelease(site, site.signer, {
      url: urlOf(number),
      content: `archive ${number}`,
      more: { creation_date: '2026-11-20 21:34:00.000001' },
    });
  await addRelease(site, site.signer, { url: urlOf(0), content: 'for debian', os: BOOKWORM });
  await addBlob(site.blobs, 'egg');
  const egg = { sha512: digestOf('egg'), basename: 'slapos.core-1.24.tar.gz', version: '1.24' };
  await site.directory.add(PYPI, site.signer.sign(JSON.stringify(egg)));
});

const cache = (...args: readonly string[]): Promise<CommandResult> => runCache(site.folder, ...args);

/** The output of a command, which its schema describes in full. */
async function outputOf(name: Name, ...args: readonly string[]): Promise<unknown> {
  return parse(name, await cache(...name.split(' '), '--json', ...args));
}

function parse(name: Name, { stdout, stderr }: CommandResult): unknown {
  expect(stdout, stderr).not.toBe('');
  const output: unknown = JSON.parse(stdout);
  JSON_OUTPUT[name].parse(output);
  expectOneForm(output);
  return output;
}

/** Whatever the place: platforms are objects, times are ISO 8601 in UTC. */
function expectOneForm(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (name === 'platform') expect(Object.keys(member as object).sort()).toEqual(['multiarch', 'os']);
    if (['received', 'created', 'at'].includes(name))
      expect(member).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    expectOneForm(member);
  }
}

async function makeArchive(): Promise<string> {
  const archive = join(site.folder, 'archives', 'kvm-ubuntu-22.04.tar.gz');
  await mkdir(join(site.folder, 'archives'), { recursive: true });
  await packRelease(await makeSoftwareRelease(join(site.folder, 'root'), KVM), archive);
  return archive;
}

const damage = (content: string): Promise<void> =>
  appendFile(join(site.root, blobName(digestOf(content))), 'x');

it('every command has a schema and takes --json', () => {
  const ran = createProgram().commands.flatMap((command) => {
    const names = command.commands.map((one) => ({ name: `${command.name()} ${one.name()}`, one }));
    // They print for a person and for a shell. `trust` alone does nothing; `config` does.
    if (['help', 'completion'].includes(command.name())) return [];
    return command.name() === 'trust' ? names : [{ name: command.name(), one: command }, ...names];
  });
  expect(ran.map(({ name }) => name).sort()).toEqual([...NAMES].sort());
  for (const { one } of ran) expect(one.options.map(({ long }) => long)).toContain('--json');
});

describe('the output of --json is that of the schema', () => {
  it('init, keygen', async () => {
    const config = join(site.folder, 'new', 'config.ini');
    expect(await outputOf('init', 'new')).toMatchObject({ kept: [], changed: [] });
    expect(await outputOf('init', '-c', 'config.ini')).toEqual({ made: [], kept: [site.root], changed: [] });
    expect(await outputOf('keygen', '-c', config)).toMatchObject({ status: 'kept' });
  });

  it('trust, config', async () => {
    const certificate = join(site.folder, 'other.crt');
    await writeFile(certificate, (await createTestSigner('other')).certificate);
    const signer = { name: expect.any(String) as string, fingerprint: expect.any(String) as string };
    expect(await outputOf('trust list')).toEqual([{ ...signer, from: 'own' }]);
    expect(await outputOf('trust add', certificate)).toMatchObject({ added: [signer], kept: [] });
    expect(await outputOf('trust remove', certificate)).toMatchObject({ removed: [signer], missing: [] });
    expect(await outputOf('config')).toMatchObject({ folder: site.folder });
    await outputOf('config check');
  });

  it('import: archives, a medium, folders of slapos proxy', async () => {
    await makeArchive();
    await writeFile(join(site.folder, 'archives', 'bad.tar.gz'), 'bad');
    expect(await outputOf('import', 'archives')).toMatchObject([
      { status: 'refused', file: 'bad.tar.gz', reason: expect.any(String) as string },
      { status: 'imported', url: KVM, key: keyOfSoftwareUrl(KVM), platform: UBUNTU, warnings: [] },
    ]);
    await mkdir(join(site.folder, 'medium'));
    await cache('export', 'medium');
    expect(await outputOf('import', 'medium')).toContainEqual({
      ...{ status: 'unchanged', url: urlOf(1), key: keyOfSoftwareUrl(urlOf(1)), platform: UBUNTU },
      ...{ sha512: digestOf('archive 1'), size: 9 },
    });
    for (const name of ['content', 'metadata/aa']) await mkdir(join(site.folder, name), { recursive: true });
    await writeFile(join(site.folder, 'metadata', 'aa', 'aakey'), 'bad');
    await outputOf('import', '--from-proxy', 'content', 'metadata');
  });

  it('pack', async () => {
    const release = await makeSoftwareRelease(join(site.folder, 'root'), KVM);
    expect(await outputOf('pack', '-o', 'software', ...OS, 'nowhere', release)).toMatchObject([
      { status: 'refused', folder: 'nowhere', reason: 'no such folder' },
      { status: 'imported', url: KVM, platform: UBUNTU },
    ]);
  });

  it('fetch, sync', async () => {
    const { url } = await serveFrom(site.folder);
    const other = await makeSite();
    const args = ['--json', '--server', url, ...OS, urlOf(0), PYPI, 'unknown-key'];
    expect(parse('fetch', await runCache(other.folder, 'fetch', ...args))).toMatchObject([
      {
        ...{ url: urlOf(0), key: keyOfSoftwareUrl(urlOf(0)) },
        offers: [
          { status: 'foreign' },
          { status: 'wanted', platform: UBUNTU, created: '2026-11-20T21:34:00.000Z' },
        ],
        results: [{ status: 'fetched', sha512: digestOf('archive 0'), size: 9 }],
      },
      { key: PYPI, results: [{ status: 'fetched' }] },
      { key: 'unknown-key', reason: expect.stringContaining('has nothing') as string, offers: [] },
    ]);
    await rm(join(site.root, blobName(digestOf('archive 2'))));
    const synced = parse('sync', await runCache(other.folder, 'sync', '--json', url, 'store'));
    expect(synced).toMatchObject({ counts: { copied: 2, unchanged: 2, refused: 1 } });
    expect(JSON.stringify(synced)).toContain(`"url":"${urlOf(1)}"`);
  });

  it('export, inventory', async () => {
    await mkdir(join(site.folder, 'medium'));
    await site.directory.add(PYPI, unsignedEntry({ sha512: digestOf('egg') }));
    expect(await outputOf('export', 'medium')).toMatchObject({
      ...{ medium: join(site.folder, 'medium'), rewritten: 0, serial: 1, size: expect.any(Number) as number },
    });
    const dry = await outputOf('export', '-n', 'medium', urlOf(0));
    expect(dry).toMatchObject({ entries: [{ status: 'unchanged', url: urlOf(0) }, {}] });
    await outputOf('inventory');
  });

  it('serve, slapos-cfg', async () => {
    await makeArchive();
    const listen = ['--listen', '127.0.0.1:0'];
    const server = startCache(site.folder, ['serve', '--json', '--import', 'archives', ...listen]);
    const result = resultOf(server);
    const stdout = await new Promise<string>((resolve) =>
      server.stdout?.once('data', (data) => {
        resolve(String(data));
      }),
    );
    server.kill('SIGTERM');
    expect((await result).stdout).toBe(stdout);
    expect(parse('serve', { code: 0, stdout, stderr: '' })).toMatchObject({
      ...{ store: site.root, urls: [expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/)] },
      imported: [{ status: 'imported', url: KVM }],
    });
    expect(await outputOf('slapos-cfg', '--url', 'http://cache.example.com:5050')).toMatchObject({
      ...{
        url: 'http://cache.example.com:5050',
        section: expect.stringMatching(/^\[networkcache\]\n/) as string,
      },
    });
  });

  it('health', async () => {
    const { url } = await serveFrom(site.folder);
    expect(await outputOf('health', '--server', url)).toMatchObject({
      ...{ url, version: expect.stringMatching(/^\d/) as string, node: expect.any(String) as string },
    });
  });

  it('lookup', async () => {
    expect(await outputOf('lookup', ...OS, urlOf(0))).toMatchObject({
      ...{ url: urlOf(0), key: keyOfSoftwareUrl(urlOf(0)), platform: UBUNTU, suggestions: [] },
      entries: [
        { platform: { os: BOOKWORM }, compatible: false, verified: true },
        { platform: UBUNTU, created: '2026-11-20T21:34:00.000Z', size: 9, signer: { name: 'ShaCache' } },
      ],
    });
    expect(await outputOf('lookup', PYPI)).toMatchObject({
      ...{ key: PYPI, entries: [{ basename: 'slapos.core-1.24.tar.gz', members: { version: '1.24' } }] },
    });
    expect(await outputOf('lookup', urlOf(7))).toMatchObject({
      entries: [],
      suggestions: [urlOf(2), urlOf(1), urlOf(0)],
    });
    const { url } = await serveFrom(site.folder);
    await outputOf('lookup', '--server', url, urlOf(0));
  });

  it('check', async () => {
    await damage('archive 1');
    expect(await outputOf('check', '--deep', ...OS, urlOf(0), urlOf(1), urlOf(7), PYPI)).toMatchObject({
      platform: UBUNTU,
      releases: [
        { status: 'installable', url: urlOf(0), platform: UBUNTU, sha512: digestOf('archive 0'), size: 9 },
        { status: 'blob-damaged', url: urlOf(1), reason: expect.stringContaining('is damaged') as string },
        { status: 'no-entry', url: urlOf(7), suggestions: [urlOf(2), urlOf(1), urlOf(0)] },
        { status: 'installable', key: PYPI },
      ],
    });
  });

  it('list', async () => {
    expect(await outputOf('list')).toMatchObject([
      { url: urlOf(0), builds: [{ platform: { os: BOOKWORM } }, { platform: UBUNTU }] },
      { url: urlOf(1) },
      { url: urlOf(2) },
      { key: PYPI, entries: [{ basename: 'slapos.core-1.24.tar.gz', size: 3 }] },
    ]);
  });

  it('verify', async () => {
    await mkdir(join(site.folder, 'medium'));
    await cache('export', 'medium', urlOf(0));
    await damage('archive 0');
    await damage('archive 1');
    await writeFile(join(site.root, 'stray'), '');
    const found = await outputOf('verify', '--deep');
    expect(found).toMatchObject({ counts: { entries: 5, unnamedBlobs: 0 } });
    expect(JSON.stringify(found)).toContain('"kind":"stray"');
    const healed = (await outputOf('verify', '--deep', '--heal-from', 'medium')) as {
      findings: readonly { status: string }[];
    };
    expect(healed.findings.map(({ status }) => status).sort()).toEqual(['healed', 'left', 'left']);
    expect(healed).toMatchObject({ affected: [{ url: urlOf(1), platform: UBUNTU }] });
  });

  it('remove, gc, log', async () => {
    expect(await outputOf('remove', urlOf(0), urlOf(2), urlOf(7), PYPI)).toMatchObject([
      {
        status: 'removed',
        url: urlOf(0),
        entries: [{ url: urlOf(0) }, { platform: UBUNTU }],
        blobs: [{}, {}],
      },
      { status: 'pinned', pin: 'keep', url: urlOf(2) },
      { status: 'unknown', url: urlOf(7) },
      { status: 'removed', key: PYPI },
    ]);
    await addRelease(site, site.signer, { url: urlOf(1), content: 'archive 1', more: { size: 9 } });
    expect(await outputOf('gc', '--grace', '0')).toMatchObject({
      entries: [{ url: urlOf(1), platform: UBUNTU }],
    });
    const { stdout } = await cache('log', '--json');
    for (const line of stdout.trimEnd().split('\n')) {
      parse('log', { code: 0, stdout: line, stderr: '' });
      expect(line).not.toContain('softwareUrl');
    }
    expect(stdout).toContain(`"url":"${urlOf(0)}"`);
  });
});

/** The required ones. */
const ARGUMENTS: Readonly<Partial<Record<Name, readonly string[]>>> = {
  ...{ import: ['.'], pack: ['x'], fetch: ['x'], sync: ['a', 'b'], export: ['.'], lookup: ['x'] },
  ...{ check: ['x'], remove: ['x'] },
  'trust add': ['sign.crt'],
  'trust remove': ['sign.crt'],
};

describe('an error with --json is one line of JSON', () => {
  const errorIn = (stderr: string): z.infer<typeof JSON_ERROR>['error'] => {
    expect(stderr).toMatch(/^\{.*\}\n$/);
    return JSON_ERROR.parse(JSON.parse(stderr)).error;
  };

  // `version` reads none.
  it.each(NAMES.filter((name) => name !== 'version'))('of %s with a wrong configuration', async (name) => {
    const more = ARGUMENTS[name] ?? [];
    const { code, stdout, stderr } = await cache(...name.split(' '), '--json', '-c', 'missing.ini', ...more);
    expect(stdout).toBe('');
    expect(errorIn(stderr)).toEqual({
      code: 'config',
      message: expect.stringContaining('missing.ini') as string,
    });
    expect(code).toBe(2);
  });

  it.each([
    [['list', '--json', '--frobnicate'], "list: unknown option '--frobnicate'; see: cache list --help"],
    [['frobnicate', '--json'], "unknown command 'frobnicate'; see: cache --help"],
    [['lookup', '--json'], "lookup: missing required argument 'url|name|key'; see: cache lookup --help"],
    [['gc', '--json', '--keep', '0'], '--keep: not a number of entries to keep: "0"; write 1 or more'],
  ])('%j is wrong usage', async (args, message) => {
    const { code, stderr } = await cache(...args);
    expect(errorIn(stderr)).toEqual({ code: 'usage', message });
    expect(code).toBe(2);
  });

  it('the exit code and the code say which kind', async () => {
    const unreachable = await cache('sync', '--json', 'http://127.0.0.1:9', 'store');
    expect(unreachable.code).toBe(3);
    const last = unreachable.stderr.trimEnd().split('\n').at(-1) ?? '';
    expect(errorIn(`${last}\n`).code).toBe('unavailable');
  });

  it('without it, or after --, it is text', async () => {
    expect((await cache('lookup', '-c', 'missing.ini', '--', '--json')).stderr).toMatch(
      /^cache: .*missing\.ini/,
    );
  });
});

describe('docs/json.md', () => {
  it('names every command, field and value of the schemas', async () => {
    const text = await readFile('docs/json.md', 'utf8');
    for (const name of NAMES) expect(text).toMatch(new RegExp(`^\\| \`${name}\``, 'm'));
    const words = new Set<string>();
    JSON.stringify(schemaDocument(), (name, value: unknown) => {
      if (name === 'properties') for (const field of Object.keys(value as object)) words.add(field);
      if (name === 'enum') for (const word of value as readonly string[]) words.add(word);
      return value;
    });
    for (const word of words) expect(text).toContain(`\`${word}\``);
  });

  it('has the schema beside it', async () => {
    await expect(`${JSON.stringify(schemaDocument(), undefined, 2)}\n`).toMatchFileSnapshot(
      '../../docs/json.schema.json',
    );
  });
});

/** JSON Schema of all outputs; later versions may add fields. */
function schemaDocument() {
  const $defs = Object.entries({ ...JSON_OUTPUT, error: JSON_ERROR }).map(([name, schema]) => {
    const definition = z.toJSONSchema(schema, {
      override: ({ zodSchema, jsonSchema }) => {
        if (zodSchema._zod.def.type === 'object') delete jsonSchema.additionalProperties;
        // These say no more than the format and the type.
        if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
        if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      },
    });
    delete definition.$schema;
    return [name, definition] as const;
  });
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', $defs: Object.fromEntries($defs) };
}
