import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { buildInfo, sourceDate } from './build-info.ts';
import { imageConfigs } from './image/read-image.ts';
import { EXECUTABLE_NODE, nodeBinary, nodePackage } from './node/node-binary.ts';

/** A component in CycloneDX 1.5. */
interface Component {
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly 'bom-ref'?: string;
  readonly purl?: string;
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly properties?: readonly { readonly name: string }[];
  readonly components?: readonly Component[];
}

interface Sbom {
  serialNumber: string;
  metadata: { timestamp: string; component: { name: string; type: string; 'bom-ref': string } };
  components: readonly Component[];
  dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

const run = promisify(execFile);

/**
 * Makes dist/shacache-VERSION.cdx.json, the list of all that a release is made of (CycloneDX): the packages of npm as npm itself
 * lists them from the lock file, Node with its own parts, and the packages of Debian in the image, if that is built.
 */
const { version } = buildInfo();
const sbom = await packagesOfNpm();
sbom.metadata.timestamp = new Date(sourceDate() * 1000).toISOString();
// npm takes the name of the folder.
Object.assign(sbom.metadata.component, { name: 'shacache', type: 'application' });
sbom.components = [...sbom.components, ...(await nodeComponents()), ...(await imageComponents())];
// A number for each content: npm takes a random one.
sbom.serialNumber = '';
sbom.serialNumber = `urn:uuid:${uuidOf(JSON.stringify(sbom))}`;
await mkdir('dist', { recursive: true });
await writeFile(`dist/shacache-${version}.cdx.json`, `${JSON.stringify(sbom, undefined, 2)}\n`);

/** With `--omit dev` npm would leave out packages that tests need, too. */
async function packagesOfNpm(): Promise<Sbom> {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'];
  const { stdout } = await run('npm', args, { maxBuffer: 64 * 1024 * 1024 });
  const all = JSON.parse(stdout) as Sbom;
  const components = all.components.filter(
    ({ properties = [] }) => !properties.some(({ name }) => name === 'cdx:npm:package:development'),
  );
  const shipped = new Set([all.metadata.component['bom-ref'], ...components.map((one) => one['bom-ref'])]);
  const dependencies = all.dependencies
    .filter(({ ref }) => shipped.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => shipped.has(other)) }));
  return { ...all, components, dependencies };
}

async function nodeComponents(): Promise<readonly Component[]> {
  const { stdout: text } = await run(await nodeBinary(EXECUTABLE_NODE), [
    '-p',
    'JSON.stringify(process.versions)',
  ]);
  const { node = '', ...parts } = JSON.parse(text) as Readonly<Record<string, string>>;
  const components = Object.entries(parts).map(([name, of]) => ({ type: 'library', name, version: of }));
  return (['x64', 'arm64'] as const).map((arch) => {
    const { name, integrity } = nodePackage(EXECUTABLE_NODE, arch);
    const purl = `pkg:npm/${name}@${node}`;
    const content = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex');
    return {
      ...{ type: 'platform', name, version: node, 'bom-ref': purl, purl },
      ...{ hashes: [{ alg: 'SHA-512', content }], components },
    };
  });
}

async function imageComponents(): Promise<readonly Component[]> {
  const tar = `dist/shacache-${version}-oci.tar`;
  if (!existsSync(tar)) return [];
  return (await imageConfigs(tar)).flatMap(({ architecture, config: { Labels } }) =>
    (Labels['org.debian.packages'] ?? '').split(' ').map((text) => {
      const [name = '', of = ''] = text.split('=');
      const purl = `pkg:deb/debian/${name}@${encodeURIComponent(of)}?arch=${architecture}`;
      return { type: 'library', name, version: of, 'bom-ref': purl, purl };
    }),
  );
}

/** A UUID of version 8 (RFC 9562): its bits come from the content. */
function uuidOf(text: string): string {
  const bytes = createHash('sha512').update(text).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
