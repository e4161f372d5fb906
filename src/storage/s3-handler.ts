import { Readable } from 'node:stream';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { ANSWER_LIMIT, AnswerTooLarge } from './s3-error.ts';

/** Sends the requests of the client, which keeps whole answers in memory: limits those that are no objects. */
export class LimitingHandler extends NodeHttpHandler {
  override async handle(
    ...[request, options]: Parameters<NodeHttpHandler['handle']>
  ): ReturnType<NodeHttpHandler['handle']> {
    const answer = await super.handle(request, options);
    const { response } = answer;
    const body: unknown = response.body;
    const isObject = response.statusCode < 300 && request.query['x-id'] === 'GetObject';
    if (isObject || request.method === 'HEAD' || !(body instanceof Readable)) return answer;
    const announced = Number(response.headers['content-length'] ?? Infinity);
    if (announced > ANSWER_LIMIT) response.body = Readable.from(limited(body), { objectMode: false });
    return answer;
  }
}

async function* limited(body: Readable): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    size += piece.byteLength;
    if (size > ANSWER_LIMIT) throw new AnswerTooLarge();
    yield piece;
  }
}
