import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The OCI image format specification, and its "image layout". */
const TYPES = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const;

interface Descriptor {
  readonly mediaType: string;
  /** `sha256:…` */
  readonly digest: string;
  readonly size: number;
}

/** A layer in a layout. */
export interface Layer {
  readonly descriptor: Descriptor;
  /** The digest of the tar before compression. */
  readonly diffId: string;
}

/** Makes the folder of a layout. */
export async function startLayout(layout: string): Promise<void> {
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
}

/** Items of a folder for a layer, with the number of the user and group that own them. */
export interface LayerPart {
  readonly folder: string;
  /** Names at the top of the folder. */
  readonly names: readonly string[];
  readonly owner: number;
}

/** Adds a layer: from equal files the same bytes, with one time for all. @param time in seconds since 1970 */
export async function addLayer(layout: string, parts: readonly LayerPart[], time: number): Promise<Layer> {
  const tar = join(layout, 'layer.tar');
  for (const [index, { folder, names, owner }] of parts.entries())
    await makeTar(tar, folder, names, { time, owner, isMore: index > 0 });
  const diffId = await digestOf(tar);
  // gzip(1) without name and time: the zlib of Node differs between its versions.
  await run('gzip', ['--no-name', '--force', tar]);
  const descriptor = await keep(layout, `${tar}.gz`, TYPES.layer);
  return { descriptor, diffId };
}

/** An image of one platform. */
export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
}

/**
 * Adds an image.
 * @param config its config, without platform and layers
 * @param layers the lowest first
 */
export async function addImage(
  layout: string,
  platform: Platform,
  config: object,
  layers: readonly Layer[],
): Promise<Descriptor & { readonly platform: Platform }> {
  const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) };
  const manifest = {
    ...{ schemaVersion: 2, mediaType: TYPES.manifest },
    config: await addJson(layout, { ...config, ...platform, rootfs }, TYPES.config),
    layers: layers.map(({ descriptor }) => descriptor),
  };
  return { ...(await addJson(layout, manifest, TYPES.manifest)), platform };
}

/** Completes the layout: one name for the images of all platforms. */
export async function endLayout(
  layout: string,
  name: string,
  images: readonly (Descriptor & { readonly platform: Platform })[],
): Promise<void> {
  const head = { schemaVersion: 2, mediaType: TYPES.index };
  const all = await addJson(layout, { ...head, manifests: images }, TYPES.index);
  const named = { ...all, annotations: { 'org.opencontainers.image.ref.name': name } };
  await writeFile(join(layout, 'index.json'), JSON.stringify({ ...head, manifests: [named] }));
}

/** Writes names of a folder to a tar, or adds them to it. */
export async function makeTar(
  tar: string,
  folder: string,
  names: readonly string[],
  {
    time,
    owner = 0,
    isMore = false,
  }: { readonly time: number; readonly owner?: number; readonly isMore?: boolean },
): Promise<void> {
  await run('tar', [
    ...['--format=ustar', '--sort=name', `--mtime=@${time}`, '--numeric-owner'],
    ...[
      `--owner=${owner}`,
      `--group=${owner}`,
      '-C',
      folder,
      isMore ? '-rf' : '-cf',
      tar,
      ...[...names].sort(),
    ],
  ]);
}

async function addJson(layout: string, content: object, mediaType: string): Promise<Descriptor> {
  const file = join(layout, 'new.json');
  await writeFile(file, JSON.stringify(content));
  return keep(layout, file, mediaType);
}

/** Moves a file to the place of its digest. */
async function keep(layout: string, file: string, mediaType: string): Promise<Descriptor> {
  const [digest, { size }] = [await digestOf(file), await stat(file)];
  await rename(file, join(layout, 'blobs', digest.replace(':', '/')));
  return { mediaType, digest, size };
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return `sha256:${hash.digest('hex')}`;
}
