import { execFileSync } from 'node:child_process';

/** A member as Python's tarfile is told to write it, whatever it leads to. */
export interface CraftedMember {
  readonly name: string;
  /** The type flag, `'0'` (a file) unless told: `'5'` folder, `'1'` hard link, `'2'` symbolic link, … */
  readonly type?: string;
  readonly target?: string;
  readonly text?: string;
}

const SCRIPT = `
import io, json, sys, tarfile
form, members = json.loads(sys.stdin.buffer.read())
output = io.BytesIO()
with tarfile.open(fileobj=output, mode='w', format=getattr(tarfile, form)) as tar:
    for member in members:
        info = tarfile.TarInfo(member['name'])
        info.type = member.get('type', '0').encode()
        info.linkname = member.get('target', '')
        content = member.get('text', '').encode()
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
sys.stdout.buffer.write(output.getvalue())
`;

/** A plain tar with these members, written by Python's tarfile. */
export function craftTar(
  members: readonly CraftedMember[],
  format: 'GNU_FORMAT' | 'PAX_FORMAT' | 'USTAR_FORMAT' = 'PAX_FORMAT',
): Buffer {
  return execFileSync('python3', ['-c', SCRIPT], {
    input: JSON.stringify([format, members]),
    maxBuffer: 1e8,
  });
}

export const FOLDER = '0123456789abcdef0123456789abcdef';

/** A release that nothing is wrong with, to put a wrong member behind. */
export const GOOD: readonly CraftedMember[] = [
  { name: FOLDER, type: '5' },
  { name: `${FOLDER}/buildout.cfg`, text: '[buildout]\n' },
];
