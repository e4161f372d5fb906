import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createKeyPair } from '../../src/cache/certificate.ts';
import type { Digest } from '../../src/cache/digest.ts';
import { createSigner } from '../../src/cache/signature.ts';
import type { Store } from '../../src/cache/store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { startBucket, type BenchBucket } from './data/bucket.ts';
import { makeArchives, type Archive } from './data/medium.ts';
import { addReleases, writeBlob, type BenchRelease } from './data/releases.ts';
import type { HttpServer } from './http-server.ts';
import { ask } from './load/requests.ts';
import { NGINX_CONFIGURATIONS, startNginx } from './nginx.ts';
import { findProgram } from './process/programs.ts';
import { startServer, type SiteKeys } from './server.ts';
import type { Sizes } from './sizes.ts';

/** What the cases share. Everything is made when it is first asked for, once. */
export interface Workbench {
  /** Removed at the end. */
  readonly folder: string;
  readonly sizes: Sizes;
  /** Aborted when the bench is told to stop. */
  readonly signal: AbortSignal;
  /** The store that the servers serve. */
  readonly store: string;
  /** Says what is being done. */
  tell(text: string): void;
  keys(): Promise<SiteKeys>;
  /** Releases in the store, all with an entry of their own. */
  releases(): Promise<readonly BenchRelease[]>;
  /** A blob of the store. @param size in bytes */
  blob(name: string, size: number): Promise<Digest>;
  /** Four archives, as on a medium that somebody brings. */
  archives(): Promise<readonly Archive[]>;
  /** A store in a bucket of Ceph, with the same releases. */
  bucket(): Promise<BenchBucket>;
  /** The same blob in the bucket. */
  bucketBlob(name: string, size: number): Promise<Digest>;
  /** Our server, with the releases in its store. */
  ours(): Promise<HttpServer>;
  /** Its rivals over the same files; none where nginx isn't installed. */
  nginxes(): Promise<readonly HttpServer[]>;
  /** Ends what was started; files stay. */
  end(): Promise<void>;
}

export function createWorkbench(
  folder: string,
  sizes: Sizes,
  signal: AbortSignal,
  tell: (text: string) => void,
): Workbench {
  const store = join(folder, 'store');
  const running: HttpServer[] = [];
  const blobs = new Map<string, Promise<Digest>>();
  const started = async (server: Promise<HttpServer>): Promise<HttpServer> => {
    running.push(await server);
    return server;
  };

  const opened = once(() => openStore(store, { mode: 'write', make: true }));

  const keys = once(() => makeKeys(folder));

  const releases = once(async () => {
    tell(`making ${sizes.releases} signed releases`);
    return addReleases(await opened(), await signer(), sizes.releases, signal);
  });

  const signer = once(async () => {
    const { signKey, signCertificate, pair } = await keys();
    return createSigner(pair, { privateKey: signKey, certificate: signCertificate });
  });

  const bucket = once(async () => {
    tell(`starting Ceph, and making ${sizes.releases} releases in a bucket`);
    const made = await startBucket();
    await addReleases(made.store, await signer(), sizes.releases, signal);
    return made;
  });

  const ours = once(async () => {
    await releases();
    return started(startServer(folder, { name: 'ours', store, keys: await keys(), signal }));
  });

  const nginxes = once(async () => {
    const program = findProgram('nginx');
    if (program === undefined) return [];
    const answers = join(folder, 'answers');
    await writeAnswers(answers, await releases(), await ours());
    const servers: HttpServer[] = [];
    for (const configuration of NGINX_CONFIGURATIONS) {
      const options = { ...configuration, program, store, answers, keys: await keys(), signal };
      const own = join(folder, configuration.name.replace(' ', '-'));
      servers.push(await started(startNginx(own, options)));
    }
    return servers;
  });

  const blobIn = (where: string, open: () => Promise<Store>, name: string, size: number): Promise<Digest> => {
    const id = `${where} ${name}`;
    const made =
      blobs.get(id) ??
      (async () => {
        tell(`making the blob "${name}" in the ${where}, ${Math.round(size / 2 ** 20)} MiB`);
        return (await writeBlob((await open()).blobs, name, size)).digest;
      })();
    blobs.set(id, made);
    return made;
  };

  return {
    folder,
    sizes,
    signal,
    store,
    tell,
    keys,
    releases,
    ours,
    nginxes,
    bucket,
    blob: (name, size) => blobIn('store', opened, name, size),
    bucketBlob: (name, size) => blobIn('bucket', async () => (await bucket()).store, name, size),
    archives: once(() => {
      tell(`making four archives of ${Math.round(sizes.medium / 1e6)} MB in all`);
      return makeArchives(join(folder, 'medium'), { count: 4, size: sizes.medium, signal });
    }),
    end: async () => {
      await Promise.all(running.map((server) => server.end()));
    },
  };
}

/** A function whose result is made by the first call. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

/** The files that nginx serves for lookups: byte for byte what our server answers. */
async function writeAnswers(
  folder: string,
  releases: readonly BenchRelease[],
  { port }: HttpServer,
): Promise<void> {
  await mkdir(join(folder, 'bdir'), { recursive: true });
  for (const { key } of releases) {
    const { status, body } = await ask(port, { method: 'GET', path: `/bdir/${key}` });
    if (status !== 200) throw new Error(`GET /bdir/${key} is answered with ${status}`);
    await writeFile(join(folder, 'bdir', key), body);
  }
}

async function makeKeys(
  folder: string,
): Promise<SiteKeys & { readonly pair: { readonly privateKey: string; readonly certificate: string } }> {
  const paths = {
    signKey: join(folder, 'sign.key'),
    signCertificate: join(folder, 'sign.crt'),
    tlsKey: join(folder, 'tls.key'),
    tlsCertificate: join(folder, 'tls.crt'),
  };
  const pair = await createKeyPair({ commonName: 'bench', days: 1 });
  const tls = await createKeyPair({
    ...{ commonName: 'localhost', days: 1 },
    server: { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] },
  });
  await writeFile(paths.signKey, pair.privateKey, { mode: 0o600 });
  await writeFile(paths.signCertificate, pair.certificate);
  await writeFile(paths.tlsKey, tls.privateKey, { mode: 0o600 });
  await writeFile(paths.tlsCertificate, tls.certificate);
  return { ...paths, pair };
}
