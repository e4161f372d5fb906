import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { completionScript } from '../src/cli/completion-scripts.ts';
import { createProgram } from '../src/cli/program.ts';
import { buildInfo, sourceDate } from './build-info.ts';
import { changelog, control, copyright } from './debian/documents.ts';
import { commandPage } from './man/command-page.ts';
import { configPage } from './man/config-page.ts';
import { EXECUTABLE_NODE, nodeLicense } from './node/node-binary.ts';

/** Debian's names of the architectures of the executables. */
const ARCHS = { x64: 'amd64', arm64: 'arm64' } as const;
const SOURCE = 'scripts/debian';

/**
 * Makes dist/shacache_VERSION_amd64.deb and _arm64.deb of the executables in dist/. From one commit always the same bytes.
 */
const { version } = buildInfo();
const seconds = sourceDate();
const folder = await mkdtemp('dist.deb.');
try {
  for (const [arch, debianArch] of Object.entries(ARCHS)) {
    const tree = join(folder, debianArch);
    await makeTree(tree, `dist/cache-linux-${arch}`, debianArch);
    const name = `shacache_${version}_${debianArch}.deb`;
    // A higher level takes minutes, and saves a tenth.
    await promisify(execFile)(
      'dpkg-deb',
      ['--root-owner-group', '-Zxz', '-z1', '--build', tree, join(folder, name)],
      // dpkg-deb gives this time to all files, which are newer.
      { env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds) } },
    );
    await rename(join(folder, name), `dist/${name}`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** The files of the package, and in DEBIAN/ what dpkg has to know. */
async function makeTree(tree: string, executable: string, arch: string): Promise<void> {
  const files = await packageFiles(executable);
  const control = await controlFiles(files, arch);
  for (const { path, content, mode } of [...files, ...control]) {
    await mkdir(dirname(join(tree, path)), { recursive: true });
    await writeFile(join(tree, path), content);
    await chmod(join(tree, path), mode);
  }
  // Whatever the umask.
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), 0o755);
}

interface PackagedFile {
  /** Below the root folder, without a leading `/`. */
  readonly path: string;
  readonly content: string | Uint8Array;
  readonly mode: number;
}

async function packageFiles(executable: string): Promise<readonly PackagedFile[]> {
  const text = (path: string, content: string | Uint8Array): PackagedFile => ({ path, content, mode: 0o644 });
  const packed = (path: string, content: string): PackagedFile => text(path, gzipSync(content, { level: 9 }));
  const copied = async (path: string, name: string): Promise<PackagedFile> =>
    text(path, await readFile(join(SOURCE, name)));
  const doc = 'usr/share/doc/shacache';
  const example = await readFile('config.example.ini', 'utf8');
  return [
    { path: 'usr/bin/cache', content: await readFile(executable), mode: 0o755 },
    await copied('etc/shacache/config.ini', 'config.ini'),
    await copied('usr/lib/systemd/system/shacache.service', 'shacache.service'),
    await copied('usr/lib/systemd/system/shacache.socket', 'shacache.socket'),
    await copied('usr/share/lintian/overrides/shacache', 'lintian-overrides'),
    await copied(`${doc}/README.Debian`, 'README.Debian'),
    packed('usr/share/man/man1/cache.1.gz', commandPage(createProgram(), seconds)),
    packed('usr/share/man/man5/shacache.conf.5.gz', configPage(example, version, seconds)),
    text('usr/share/bash-completion/completions/cache', completionScript('bash')),
    text('usr/share/zsh/vendor-completions/_cache', completionScript('zsh')),
    text('usr/share/fish/vendor_completions.d/cache.fish', completionScript('fish')),
    text(`${doc}/copyright`, await copyright(await nodeLicense(EXECUTABLE_NODE))),
    text(`${doc}/examples/config.example.ini`, example),
    packed(`${doc}/changelog.gz`, changelog(version, seconds)),
  ];
}

async function controlFiles(files: readonly PackagedFile[], arch: string): Promise<readonly PackagedFile[]> {
  const conffiles = files.filter(({ path }) => path.startsWith('etc/'));
  const sums = files
    .filter((file) => !conffiles.includes(file))
    .map(({ path, content }) => `${createHash('md5').update(content).digest('hex')}  ${path}\n`);
  // In KiB, each file rounded up (deb-substvars(5)).
  const size = files.reduce((sum, { content }) => sum + Math.ceil(Buffer.byteLength(content) / 1024), 0);
  const scripts = ['postinst', 'prerm', 'postrm'].map(async (name) => ({
    path: `DEBIAN/${name}`,
    content: await readFile(join(SOURCE, name)),
    mode: 0o755,
  }));
  return [
    { path: 'DEBIAN/control', content: control({ version, arch, size }), mode: 0o644 },
    {
      path: 'DEBIAN/conffiles',
      content: conffiles.map(({ path }) => `/${path}\n`).join(''),
      mode: 0o644,
    },
    { path: 'DEBIAN/md5sums', content: sums.sort().join(''), mode: 0o644 },
    ...(await Promise.all(scripts)),
  ];
}
