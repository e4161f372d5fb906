import type { Config } from '../config/config.ts';
import { readIfThere } from './files.ts';
import { readKnownAuthorities } from './known-authorities.ts';
import { tlsFilesOf } from './site-paths.ts';
import { readCaFile } from './tls-certificate.ts';

/**
 * The CA certificates, in PEM, of other caches: those that the machine knows, those that are given, and that of the site's own
 * server.
 * @param option the value of `--ca`
 * @throws CacheError `config`
 */
export async function readServerAuthorities(config: Config, option?: string): Promise<readonly string[]> {
  const { upstream } = config;
  const own = tlsFilesOf(config)?.certificateFile;
  const pems = [
    option === undefined ? undefined : await readCaFile(option, '--ca'),
    upstream?.caFile === undefined ? undefined : await readCaFile(upstream.caFile, '[upstream] ca-file'),
    own === undefined ? undefined : await readIfThere(own),
  ];
  const known = await readKnownAuthorities(process.env);
  return [...known, ...pems.filter((pem) => pem !== undefined)];
}
