import { PutObjectAclCommand } from '@aws-sdk/client-s3';
import { blobName } from '../../../src/cache/layout.ts';
import type { Digest } from '../../../src/cache/digest.ts';
import type { Store } from '../../../src/cache/store.ts';
import { openStore } from '../../../src/storage/open-store.ts';
import { clientOf, makeBucket, startCluster } from '../../../test/fixtures/ceph.ts';

/** A store in a bucket of a Ceph that runs until this process ends. */
export interface BenchBucket {
  readonly store: Store;
  /** `[store]` of a configuration. */
  readonly section: Readonly<Record<string, string>>;
  /** The URL of a blob at the gateway, which needs no access key from now on. */
  publicUrlOf(digest: Digest): Promise<string>;
}

export async function startBucket(): Promise<BenchBucket> {
  const engine = await startCluster({ disks: 1, owner: process.pid });
  const { endpoint, key } = engine;
  const bucket = await makeBucket(engine);
  const url = `s3://${bucket}/store`;
  const store = await openStore(url, { mode: 'write', make: true, access: engine });
  return {
    store,
    section: { url, endpoint, 'access-key-id': key.id, 'secret-access-key': key.secret },
    async publicUrlOf(digest) {
      const name = `store/${blobName(digest)}`;
      const client = clientOf(engine);
      await client.send(new PutObjectAclCommand({ Bucket: bucket, Key: name, ACL: 'public-read' }));
      client.destroy();
      return `${endpoint}/${bucket}/${name}`;
    },
  };
}
