import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const REPOSITORY = join(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as {
  readonly version: string;
};

/** What `npm run build:image` makes. */
export const IMAGE = join(REPOSITORY, `dist/shacache-${version}-oci.tar`);

/** For the name of a group of tests. */
export const WITHOUT_IMAGE = existsSync(IMAGE) ? '' : ' (skipped: npm run build:image has not run)';

/** The part of an image's config that a runtime needs. */
export interface ImageConfig {
  readonly architecture: string;
  readonly created: string;
  readonly config: {
    readonly User: string;
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly WorkingDir: string;
    readonly Env: readonly string[];
    readonly Volumes: Readonly<Record<string, object>>;
    readonly ExposedPorts: Readonly<Record<string, object>>;
    readonly Healthcheck: { readonly Test: readonly string[] };
    readonly Labels: Readonly<Record<string, string>>;
  };
  readonly history: readonly object[];
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

/** Unpacks the image of a platform as a runtime does, with the owners of its files. @returns its config */
export async function unpackImage(
  arch: 'amd64' | 'arm64',
  folder: string,
  root: string,
): Promise<ImageConfig> {
  const layout = join(folder, `layout-${arch}`);
  await run('skopeo', ['--override-arch', arch, 'copy', '-q', `oci-archive:${IMAGE}`, `oci:${layout}:one`]);
  const blob = async <Content>(digest = ''): Promise<Content> =>
    JSON.parse(await readFile(join(layout, 'blobs', digest.replace(':', '/')), 'utf8')) as Content;
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as {
    readonly manifests: readonly { readonly digest: string }[];
  };
  const manifest = await blob<{
    readonly config: { readonly digest: string };
    readonly layers: readonly { readonly digest: string }[];
  }>(index.manifests[0]?.digest);
  await mkdir(root, { recursive: true });
  for (const { digest } of manifest.layers)
    await run('tar', [
      '-C',
      root,
      '--numeric-owner',
      '-xpzf',
      join(layout, 'blobs', digest.replace(':', '/')),
    ]);
  return blob<ImageConfig>(manifest.config.digest);
}
