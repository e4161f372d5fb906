import { randomBytes } from 'node:crypto';
import { QUARANTINE } from '../cache/layout.ts';
import type { HiddenObject, Quarantine, StoreUpkeep } from '../cache/store-upkeep.ts';
import type { S3Bucket, S3Upload } from './s3-bucket.ts';
import { TEMPORARY } from './store-folder.ts';
import { nameOfTaken, takenName } from './taken-object.ts';
import { isLeftover } from './temporary-name.ts';

/** Between the name and the id of an unfinished upload, in the path of a leftover. */
const UPLOAD = '?uploadId=';

/** Upkeep of the store in a bucket. An object store can't rename: an object is copied, then removed. */
export function createS3Upkeep(bucket: S3Bucket, now: () => Date = () => new Date()): StoreUpkeep {
  /** @returns false if it is missing */
  const move = async (from: string, to: string): Promise<boolean> => {
    const stat = await bucket.head(from);
    if (stat === undefined || !(await bucket.copy(from, to, stat.size))) return false;
    await bucket.remove(from);
    return true;
  };

  const putBack = async (taken: string, name: string): Promise<void> => {
    if ((await bucket.head(name)) !== undefined) await bucket.remove(taken);
    else await move(taken, name);
  };

  return {
    quarantine: createS3Quarantine(bucket, move, now),

    async *list(folder) {
      const prefix = folder === '' ? '' : `${folder}/`;
      for await (const path of bucket.list(prefix, true)) {
        const name = path.slice(prefix.length);
        // Consoles make an empty object for a folder.
        if (name === '') continue;
        yield name.endsWith('/') ? { name: name.slice(0, -1), type: 'folder' } : { name, type: 'file' };
      }
    },

    ownerFault: () => Promise.resolve(undefined),

    async *leftovers() {
      for await (const name of bucket.list(`${TEMPORARY}/`)) {
        const stat = await bucket.head(name);
        if (stat !== undefined && isLeftover(fileNameOf(name), stat.modified)) yield name;
      }
      for await (const upload of bucket.uploads(''))
        if (await isStale(bucket, upload)) yield `${upload.name}${UPLOAD}${upload.id}`;
    },

    async removeLeftover(path) {
      const [name = '', id] = path.split(UPLOAD);
      if (id !== undefined) {
        await bucket.abortUpload({ name, id });
        return;
      }
      const own = nameOfTaken(fileNameOf(name));
      await (own === undefined ? bucket.remove(name) : putBack(name, own));
    },

    async hide(name): Promise<HiddenObject | undefined> {
      const taken = `${TEMPORARY}/${takenName(name)}`;
      const stat = await bucket.head(name);
      if (stat === undefined || !(await bucket.copy(name, taken, stat.size))) return undefined;
      const later = await bucket.head(name);
      await bucket.remove(name);
      return {
        size: stat.size,
        // Another process may have written it again meanwhile.
        modified: Math.max(stat.modified, later?.modified ?? 0),
        putBack: () => putBack(taken, name),
        async remove() {
          if ((await bucket.head(taken)) === undefined) return false;
          await bucket.remove(taken);
          return true;
        },
      };
    },
  };
}

/** An upload that its writer left; one on another machine may take days. */
async function isStale(bucket: S3Bucket, upload: S3Upload): Promise<boolean> {
  const fileName = fileNameOf(upload.name);
  if (!isLeftover(fileName, upload.begun)) return false;
  return isLeftover(fileName, (await bucket.lastPart(upload)) ?? upload.begun);
}

function fileNameOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

function createS3Quarantine(
  bucket: S3Bucket,
  move: (from: string, to: string) => Promise<boolean>,
  now: () => Date,
): Quarantine {
  let folder: string | undefined;

  /** A folder of its own for each process. */
  const folderOf = (): string =>
    (folder ??= `${QUARANTINE}${now()
      .toISOString()
      .replace(/[-:]|\.\d+/g, '')}-${randomBytes(3).toString('hex')}`);

  /** Numbers the path of an object that came back after quarantine and is bad again. */
  const freePath = async (path: string): Promise<string> => {
    for (let number = 1; ; number++) {
      const candidate = `${folderOf()}/${path}${number === 1 ? '' : `-${number}`}`;
      if ((await bucket.head(candidate)) === undefined) return candidate;
    }
  };

  return {
    async move(path) {
      const target = await freePath(path);
      if (await move(path, target)) return target;
      // A folder is all objects below it.
      const below: string[] = [];
      for await (const name of bucket.list(`${path}/`)) below.push(name);
      for (const name of below) await move(name, target + name.slice(path.length));
      return below.length > 0 ? target : undefined;
    },
    async keep(path) {
      const stat = await bucket.head(path);
      if (stat === undefined) return undefined;
      const target = await freePath(path);
      return (await bucket.copy(path, target, stat.size)) ? target : undefined;
    },
  };
}
