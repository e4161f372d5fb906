import type { IncomingMessage } from 'node:http';

/** A fault of a request's head, which is refused before routing. */
export interface HeadFault {
  readonly status: 400 | 417;
  readonly text: string;
}

/** `uri-host [":" port]` of RFC 9110, 7.2, with zones of IPv6 addresses; it may be empty. */
const HOST = /^(\[[\w.:%~-]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?$/;

/**
 * Refuses heads that RFC 9112 forbids and node's parser accepts: if this server and a proxy parse a request differently,
 * a client may get the answer of another client.
 */
export function headFaultOf(incoming: IncomingMessage): HeadFault | undefined {
  const { headers, rawHeaders, httpVersion } = incoming;
  const isOld = httpVersion === '1.0';
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.length !== 4 || rawHeaders[index]?.toLowerCase() !== 'host') continue;
    hosts++;
    if (!HOST.test(rawHeaders[index + 1] ?? '')) return bad('the Host header is not a host name');
  }
  // RFC 9112, 3.2
  if (hosts > 1) return bad('more than one Host header');
  if (hosts === 0 && !isOld) return bad('no Host header');
  const coding = headers['transfer-encoding'];
  if (coding !== undefined) {
    // RFC 9112, 6.1
    if (isOld) return bad('a Transfer-Encoding header in HTTP/1.0');
    if (coding.toLowerCase() !== 'chunked') return bad('the only supported Transfer-Encoding is chunked');
  }
  const { expect } = headers;
  if (expect !== undefined && !isOld && expect.toLowerCase() !== '100-continue')
    return { status: 417, text: 'the only supported expectation is 100-continue' };
  return undefined;
}

function bad(text: string): HeadFault {
  return { status: 400, text };
}
