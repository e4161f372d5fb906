import type { Context } from 'hono';
import type { LogEvent, StoreLog } from '../cache/store-log.ts';
import type { RequestLog } from './access-log.ts';
import type { HttpEnv } from './http-env.ts';

/** Records what a client uploaded; to be called when it is in the store. */
export type RecordUpload = (c: Context<HttpEnv>, what: Omit<LogEvent, 'action'>) => Promise<void>;

/** What is uploaded is uploaded, even when it can't be recorded: that goes to the log, and the client isn't told. */
export function createRecordUpload(storeLog: StoreLog, log: RequestLog): RecordUpload {
  return async ({ env: { record } }, what) => {
    try {
      await storeLog.record({ action: 'upload', ...what }, { user: record.user, remote: record.remote });
    } catch (error) {
      log.failure(record.id, error);
    }
  };
}
