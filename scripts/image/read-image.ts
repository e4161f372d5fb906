import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';

const run = promisify(execFile);

const index = z.object({ manifests: z.array(z.object({ digest: z.string() })) });
const manifest = z.object({ config: z.object({ digest: z.string() }) });
const config = z.object({
  architecture: z.string(),
  config: z.object({ Labels: z.record(z.string(), z.string()) }),
});

/** The configs of all images in the tar of an OCI layout that oci-layout.ts made. */
export async function imageConfigs(tar: string): Promise<readonly z.infer<typeof config>[]> {
  const read = async (name: string): Promise<unknown> =>
    JSON.parse((await run('tar', ['-xOf', tar, name])).stdout);
  const blob = (digest = ''): Promise<unknown> => read(`blobs/${digest.replace(':', '/')}`);
  const [all] = index.parse(await read('index.json')).manifests;
  return Promise.all(
    index
      .parse(await blob(all?.digest))
      .manifests.map(async ({ digest }) =>
        config.parse(await blob(manifest.parse(await blob(digest)).config.digest)),
      ),
  );
}
