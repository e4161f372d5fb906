import { parentPort } from 'node:worker_threads';
import { CacheError } from '../cache/errors.ts';
import { createArchiveInspector, type ArchiveInspector } from './archive-inspection.ts';
import type { InspectionAnswer, InspectionRequest } from './inspection-thread.ts';

/** The program of an inspection thread: inspects one archive after the other, and answers each request once. */

let inspector: ArchiveInspector | undefined;

parentPort?.on('message', (request: InspectionRequest) => {
  // A programming error isn't caught: it ends the thread.
  void answer(request).then((result) => {
    parentPort?.postMessage({ ...result, id: request.id });
    // The thread ends once its child processes have ended.
    if (request.action === 'close') parentPort?.close();
  });
});

async function answer(request: InspectionRequest): Promise<Omit<InspectionAnswer, 'id'>> {
  try {
    return await act(request);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    return { fault: { code: error.code, message: error.message } };
  }
}

async function act(request: InspectionRequest): Promise<Omit<InspectionAnswer, 'id'>> {
  switch (request.action) {
    case 'open':
      inspector = createArchiveInspector(request.size);
      return {};
    case 'write':
      await inspector?.write(new Uint8Array(request.slot, 0, request.length));
      return {};
    case 'glimpse':
      return { glimpse: await inspector?.glimpse() };
    case 'end':
      return { contents: await inspector?.end() };
    case 'abort':
      inspector?.abort();
      return {};
    case 'close':
      return {};
  }
}
