import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../../scripts/bench/process/background.ts';
import { type CertificateFiles, makeCertificates } from './certificates.ts';
import { run } from './command.ts';

/** A slapd of our own, on the loopback, with its data in a temporary folder. */
export interface Slapd {
  readonly port: number;
  readonly tlsPort: number;
  readonly certificates: CertificateFiles;
  /** Ends the process and removes its folder. */
  stop(): Promise<void>;
}

/** Debian puts it where only root's PATH looks. */
export const SLAPD = '/usr/sbin/slapd';

/** @param ldif the entries of the database; its suffix is dc=example,dc=org */
export async function startSlapd(ldif: string): Promise<Slapd> {
  const folder = await mkdtemp(join(tmpdir(), 'shacache-slapd-'));
  const certificates = makeCertificates(folder);
  const configFile = join(folder, 'slapd.conf');
  const ldifFile = join(folder, 'data.ldif');
  await mkdir(join(folder, 'db'));
  await writeFile(configFile, configOf(folder, certificates));
  await writeFile(ldifFile, ldif);
  run(SLAPD.replace('slapd', 'slapadd'), ['-f', configFile, '-l', ldifFile]);

  const [port = 0, tlsPort = 0] = await freePorts(2);
  const urls = `ldap://127.0.0.1:${port}/ ldaps://127.0.0.1:${tlsPort}/`;
  // With -d it stays in the foreground, so that its process id is ours to end.
  const child = spawn(SLAPD, ['-f', configFile, '-h', urls, '-d', '0'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await waitUntilListening(tlsPort, ended);
  return {
    port,
    tlsPort,
    certificates,
    async stop() {
      child.kill();
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

function configOf(folder: string, { ca, key, certificate }: CertificateFiles): string {
  return `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${folder}/pid
TLSCACertificateFile ${ca}
TLSCertificateFile ${certificate}
TLSCertificateKeyFile ${key}
database mdb
suffix "dc=example,dc=org"
directory ${folder}/db
access to dn.base="cn=hidden,ou=groups,dc=example,dc=org" by * none
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
`;
}

async function waitUntilListening(port: number, ended: Promise<unknown>): Promise<void> {
  const state = { isEnded: false };
  void ended.then(() => (state.isEnded = true));
  while (!state.isEnded) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch {
      // Not yet.
      await new Promise(setImmediate);
    } finally {
      socket.destroy();
    }
  }
  throw new Error('slapd ended at once');
}
