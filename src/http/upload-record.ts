import type { Context } from 'hono';
import type { LogEvent, StoreLog } from '../cache/store-log.ts';
import type { RequestLog } from './access-log.ts';
import type { HttpEnv } from './http-env.ts';

/** Records an upload; call it when the store has the object. */
export type RecordUpload = (c: Context<HttpEnv>, what: Omit<LogEvent, 'action'>) => Promise<void>;

/** A fault of the record goes to the log only: the upload itself has succeeded. */
export function createRecordUpload(storeLog: StoreLog, log: RequestLog): RecordUpload {
  return async ({ env: { record } }, what) => {
    try {
      await storeLog.record({ action: 'upload', ...what }, { user: record.user, remote: record.remote });
    } catch (error) {
      log.failure(record.id, error);
    }
  };
}
