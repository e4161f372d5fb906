import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { buildInfo, sourceDate } from './build-info.ts';
import { createUnpacker, type DebianPackage } from './image/debian-packages.ts';
import { addImage, addLayer, endLayout, makeTar, startLayout, type Layer } from './image/oci-layout.ts';

/** The number of the user in the image, as Kubernetes needs it to see that it is not root. */
const USER = 65_532;
const PROGRAM = '/usr/local/bin/cache';

/** What Node is linked to. The loader is where the program's header says that it is. */
const LIBRARIES = [
  'libc.so.6',
  'libdl.so.2',
  'libgcc_s.so.1',
  'libm.so.6',
  'libpthread.so.0',
  'libstdc++.so.6',
];
const PACKAGES = ['libc6', 'libgcc-s1', 'libstdc++6'];
const DOCUMENTS = 'usr/share/doc';
const SECOND = 1_000_000_000;
const PLATFORMS = [
  {
    ...{ node: 'x64', platform: { architecture: 'amd64', os: 'linux' } },
    ...{ loader: 'lib64/ld-linux-x86-64.so.2', libraries: 'lib/x86_64-linux-gnu' },
  },
  {
    ...{ node: 'arm64', platform: { architecture: 'arm64', os: 'linux', variant: 'v8' } },
    ...{ loader: 'lib/ld-linux-aarch64.so.1', libraries: 'lib/aarch64-linux-gnu' },
  },
] as const;

const FILES: Readonly<Record<string, string>> = {
  'etc/passwd': `root:x:0:0:root:/:/sbin/nologin\nshacache:x:${USER}:${USER}:shacache:/data:/sbin/nologin\n`,
  'etc/group': `root:x:0:\nshacache:x:${USER}:\n`,
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};
/** With their modes; the authorities of an operator come into the first one, Node has its own. */
const FOLDERS: readonly (readonly [string, number])[] = [
  ['etc/ssl/certs', 0o755],
  ['etc/shacache', 0o755],
  ['tmp', 0o1777],
];

/**
 * Makes dist/shacache-VERSION-oci.tar from the executables: an OCI layout with an image for each architecture, without any
 * daemon. From the same executables and packages of Debian always the same bytes.
 */
const { version, commit } = buildInfo();
const time = sourceDate();
const created = new Date(time * 1000).toISOString();
// Modes do not depend on who builds.
process.umask(0o022);
const work = await mkdtemp('dist.image.');
const layout = join(work, 'layout');
try {
  await startLayout(layout);
  const images = [];
  for (const target of PLATFORMS) {
    const program = `dist/cache-linux-${target.node}`;
    if (!existsSync(program)) throw new Error(`${program} is missing; run: npm run build:executable`);
    const { layer, packages } = await addSystem(target);
    const layers = [layer, await addProgram(program)];
    images.push(await addImage(layout, target.platform, configOf(packages), layers));
  }
  await endLayout(layout, version, images);
  const tar = join(work, 'image.tar');
  await makeTar(tar, layout, await readdir(layout), { time });
  await rename(tar, `dist/shacache-${version}-oci.tar`);
} finally {
  await rm(work, { recursive: true, force: true });
}

type Target = (typeof PLATFORMS)[number];

/** The layer below the program: libraries, user, folders. */
async function addSystem({
  platform: { architecture },
  loader,
  libraries,
}: Target): Promise<{ readonly layer: Layer; readonly packages: readonly DebianPackage[] }> {
  const folder = join(work, architecture);
  const [root, ofUser] = [join(folder, 'root'), join(folder, 'user')];
  const { unpack, root: unpacked } = await createUnpacker(architecture, resolve(folder));
  const packages = [...(await unpack(PACKAGES))];
  // Its licence stands in another package.
  packages.push(...(await unpack([basename(await readlink(join(unpacked, DOCUMENTS, 'libgcc-s1')))])));
  // Debian 12 keeps them in /lib, 13 in /usr/lib.
  for (const name of LIBRARIES) await place(await find(unpacked, name), join(root, libraries, name), 0o644);
  await place(await find(unpacked, basename(loader)), join(root, loader), 0o755);
  for (const { name } of packages)
    await place(
      join(unpacked, DOCUMENTS, name, 'copyright'),
      join(root, DOCUMENTS, name, 'copyright'),
      0o644,
    );
  for (const [name, mode] of FOLDERS) {
    await mkdir(join(root, name), { recursive: true });
    await chmod(join(root, name), mode);
  }
  for (const [name, text] of Object.entries(FILES)) await writeFile(join(root, name), text);
  await mkdir(join(ofUser, 'data'), { recursive: true });
  const parts = [
    { folder: root, names: await readdir(root), owner: 0 },
    { folder: ofUser, names: ['data'], owner: USER },
  ];
  return { layer: await addLayer(layout, parts, time), packages };
}

async function addProgram(program: string): Promise<Layer> {
  const root = join(work, basename(program));
  await place(program, join(root, PROGRAM), 0o755);
  await place('LICENSE', join(root, DOCUMENTS, 'shacache/copyright'), 0o644);
  return addLayer(layout, [{ folder: root, names: ['usr'], owner: 0 }], time);
}

function configOf(packages: readonly DebianPackage[]): object {
  return {
    created,
    config: {
      User: `${USER}:${USER}`,
      ExposedPorts: { '5050/tcp': {} },
      Env: ['PATH=/usr/local/bin'],
      Entrypoint: [PROGRAM],
      Cmd: ['serve'],
      Volumes: { '/data': {} },
      WorkingDir: '/data',
      StopSignal: 'SIGTERM',
      // Not in OCI's specification; Docker reads it. The times are nanoseconds.
      Healthcheck: {
        ...{ Test: ['CMD', PROGRAM, 'health'], Interval: 30 * SECOND, Timeout: 10 * SECOND },
        ...{ StartPeriod: 10 * SECOND, Retries: 3 },
      },
      Labels: {
        'org.opencontainers.image.title': 'shacache',
        'org.opencontainers.image.description': 'Offline binary cache (ShaCache and ShaDir) for SlapOS',
        'org.opencontainers.image.version': version,
        ...(commit === undefined ? {} : { 'org.opencontainers.image.revision': commit }),
        'org.opencontainers.image.licenses': 'MIT',
        'org.debian.packages': packages.map(({ name, version: of }) => `${name}=${of}`).join(' '),
      },
    },
    history: [
      { created, created_by: 'libraries of Debian, a user, folders' },
      { created, created_by: PROGRAM },
    ],
  };
}

/** Copies a file, or what a link leads to. */
async function place(from: string, to: string, mode: number): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
  await chmod(to, mode);
}

/** The file of a name below a folder, or else a link of that name. @throws Error if there is none */
async function find(folder: string, name: string): Promise<string> {
  const items = await readdir(folder, { recursive: true, withFileTypes: true });
  const named = items.filter((item) => item.name === name);
  // The loader is also a link that leads out of the folder.
  const found = named.find((item) => item.isFile()) ?? named[0];
  if (found === undefined) throw new Error(`the packages ${PACKAGES.join(', ')} have no ${name}`);
  return join(found.parentPath, name);
}
