import type { Platform } from '../cache/platform.ts';
import { quoteForShell } from '../cache/shell.ts';
import { commandOf } from '../operations/command-line.ts';
import type { Site } from '../operations/site.ts';
import type { ReleaseProblem } from '../operations/upkeep/check-release.ts';
import type { MachineOptions } from './site.ts';

export interface AdviceContext {
  readonly url: string;
  /** As they were given. */
  readonly options: MachineOptions;
  readonly site: Site;
  /** The cache that was asked, where it isn't the site's own store. */
  readonly server: string | undefined;
  /** Platforms of the entries that are known. */
  readonly platforms: readonly Platform[];
  /** The platform that they were compared with. */
  readonly machine: Platform;
  /** The slapos.cfg of the node, if one is named. */
  readonly slaposCfg: string | undefined;
}

/** What would make a node able to install it, as commands where there are any; the best first. */
export function adviceFor({ kind }: ReleaseProblem, context: AdviceContext): readonly string[] {
  const { url, server, site, slaposCfg } = context;
  const { config, location } = site;
  const on = server === undefined ? '' : 'on the server: ';
  // Of the configuration of another server nothing is known here.
  const command = (call: string, words?: readonly string[]): string =>
    on + commandOf(server === undefined ? config : { file: undefined, isNamed: false }, call, words);
  const fetch = command('fetch', [...machineOptions(context), url]);
  const fetchIfAny = server !== undefined || config.upstream !== undefined ? [fetch] : [];
  const bring = `bring its archive or medium, then ${command('import FOLDER')}`;
  const into = `cache slapos-cfg --into ${quoteForShell(slaposCfg ?? 'slapos.cfg')}`;
  switch (kind) {
    case 'no-entry':
      return [...fetchIfAny, bring];
    case 'incompatible':
      return [
        ...otherSystem(context),
        ...fetchIfAny,
        `build it on such a machine, run cache pack FOLDER there, bring the archive, then ${command('import ARCHIVE')}`,
      ];
    case 'untrusted':
      return [
        `if its signer is to be trusted: ${command('trust add CERT')}, and on each node: ${into}`,
        ...fetchIfAny.map((command) => `or have one that you trust: ${command}`),
      ];
    case 'entry-damaged':
      return [command('verify --heal-from MEDIUM|STORE|URL'), ...fetchIfAny];
    case 'key-mismatch':
      return [`${command('verify')}; nothing of this entry is to be installed`];
    case 'blob-missing':
      return [command('verify --heal-from MEDIUM|STORE|URL'), ...fetchIfAny, bring];
    case 'blob-damaged':
    case 'unreadable':
      return [
        command('verify --deep --heal-from MEDIUM|STORE|URL'),
        `bring its archive, then ${command('import --recheck FOLDER')}`,
      ];
    case 'owner-forbidden':
      return [`as root: chown -R --reference=${quoteForShell(location)} ${quoteForShell(location)}`];
    case 'unavailable':
      return [];
    case 'folder-left':
      return ['remove the folder if no build runs in it'];
    case 'no-cache-url':
      return [into];
    case 'blacklisted':
      return [
        `remove the prefix from download-from-binary-cache-url-blacklist in ${slaposCfg ?? 'slapos.cfg'}, or supply the URL of a version that it does not match`,
      ];
    case 'no-gcc':
      return ['install gcc on the node'];
    case 'tls-refused':
      return [
        'copy the certificate of its CA (with tls = auto: server.crt) to the node, and set SSL_CERT_FILE to it where slapos runs; nodes ignore shacache-ca-file when they download',
        'or have nodes download over http://: signature and sha512 protect releases',
      ];
  }
}

function machineOptions({ options: { os, multiarch } }: AdviceContext): readonly string[] {
  return [
    ...(os === undefined ? [] : ['--os', os]),
    ...(multiarch === undefined ? [] : ['--multiarch', multiarch]),
  ];
}

/** It was compared with this machine, which may be no node. */
function otherSystem({
  options: { os, multiarch },
  slaposCfg,
  platforms,
  machine,
}: AdviceContext): readonly string[] {
  if (os !== undefined || multiarch !== undefined || slaposCfg !== undefined) return [];
  const other = platforms.find((platform) => platform.os.join() !== machine.os.join());
  if (other === undefined) return [];
  const [id, version] = other.os;
  return [`if nodes run ${id} ${version}, add --os ${quoteForShell(`${id}-${version}`)}`];
}
