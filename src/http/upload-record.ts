import type { Context } from 'hono';
import type { CustodyEvent, CustodyLog } from '../cache/custody.ts';
import type { RequestLog } from './access-log.ts';
import type { HttpEnv } from './http-env.ts';

/** Records what a client uploaded; to be called when it is in the store. */
export type RecordUpload = (c: Context<HttpEnv>, what: Omit<CustodyEvent, 'action'>) => Promise<void>;

/** What is uploaded is uploaded, even when it can't be recorded: that goes to the log, and the client isn't told. */
export function createRecordUpload(custody: CustodyLog, log: RequestLog): RecordUpload {
  return async ({ env: { record } }, what) => {
    try {
      await custody.record({ action: 'upload', ...what }, { user: record.user, remote: record.remote });
    } catch (error) {
      log.failure(record.id, error);
    }
  };
}
