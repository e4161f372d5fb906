import { quoteBriefly } from './digest.ts';
import { CacheError } from './errors.ts';

/** The place of a store in an object store. */
export interface BucketPlace {
  readonly bucket: string;
  /** Empty, or ends in `/`. */
  readonly prefix: string;
}

/** Whether a text that names a store names a bucket, not a folder. */
export function isBucketUrl(text: string): boolean {
  return /^s3:/i.test(text);
}

/**
 * Reads `s3://BUCKET` or `s3://BUCKET/PREFIX`; a `/` at the end changes nothing.
 * @throws CacheError `usage`
 */
export function parseBucketUrl(text: string): BucketPlace {
  // As Amazon allows them: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
  const [, bucket, path = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/is.exec(text) ?? [];
  const parts = path.replace(/\/$/, '').split('/');
  const isPath = parts.every((part) => /^[\w.=+-]+$/.test(part) && !/^\.\.?$/.test(part));
  if (bucket === undefined || (path !== '' && !isPath))
    throw new CacheError(
      'usage',
      `not the URL of a bucket: ${quoteBriefly(text)}; write s3://BUCKET or s3://BUCKET/PREFIX, with letters, digits and . _ = + - in the prefix`,
    );
  return { bucket: bucket.toLowerCase(), prefix: path === '' ? '' : `${parts.join('/')}/` };
}

/** The URL of a place, without a `/` at its end. */
export function formatBucketUrl({ bucket, prefix }: BucketPlace): string {
  return `s3://${bucket}/${prefix}`.replace(/\/$/, '');
}
