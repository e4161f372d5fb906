import { z } from 'zod';
import { asOneLine } from '../../cache/controls.ts';
import { CacheError, throwProgrammingError } from '../../cache/errors.ts';
import { localUrl } from '../../server/addresses.ts';
import { IMPATIENT } from '../../upstream/attempts.ts';
import type { HealthOptions } from '../commands/health.ts';
import { printJson } from '../json-output.ts';
import { readFromServer } from '../servers.ts';
import { openSite } from '../site.ts';
import { parseUrlOption, withoutPasswords } from '../url-option.ts';

/** The part of `/health` that all versions have. */
const healthAnswer = z.object({
  status: z.literal('ok'),
  version: z.string(),
  commit: z.string().optional(),
  node: z.string().optional(),
});

export async function health({ server, ca, ...options }: HealthOptions): Promise<void> {
  const { config, terminal } = await openSite(options);
  const base = server === undefined ? localUrl(config.server.listen) : parseUrlOption('--server', server);
  const url = withoutPasswords(base);
  const text = await readFromServer(`${base}/health`, config, { ca, patience: IMPATIENT });
  const { version, commit, node } = parseAnswer(text, `${url}/health`);
  if (options.json) {
    printJson('health', { url, version, commit, node }, terminal);
    return;
  }
  const parts = [`shacache ${version}`, node && `Node ${node}`, commit && `commit ${commit}`];
  terminal.say(asOneLine(`${url} answers: ${parts.filter((part) => part !== undefined).join(', ')}`));
}

/** @throws CacheError `unavailable` */
function parseAnswer(text: string, where: string): z.infer<typeof healthAnswer> {
  try {
    return healthAnswer.parse(JSON.parse(text));
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError('unavailable', `${where}: the answer is not that of this program; correct the URL`, {
      cause: error,
    });
  }
}
