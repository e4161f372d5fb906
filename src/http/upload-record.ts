import type { Context } from 'hono';
import type { CustodyEvent, CustodyLog } from '../cache/custody.ts';
import type { RequestLog } from './access-log.ts';
import type { HttpEnv } from './http-env.ts';

/** Records an upload; call it when the store has the object. */
export type RecordUpload = (c: Context<HttpEnv>, what: Omit<CustodyEvent, 'action'>) => Promise<void>;

/** A fault of the record goes to the log only: the upload itself has succeeded. */
export function createRecordUpload(custody: CustodyLog, log: RequestLog): RecordUpload {
  return async ({ env: { record } }, what) => {
    try {
      await custody.record({ action: 'upload', ...what }, { user: record.user, remote: record.remote });
    } catch (error) {
      log.failure(record.id, error);
    }
  };
}
