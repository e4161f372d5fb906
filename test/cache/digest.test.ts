import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHasher, digestOf, isDigest, parseDigest, quoteBriefly } from '../../src/cache/digest.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';

describe('digest', () => {
  it('is what sha512sum prints', () => {
    const bytes = Buffer.from('compiled software, naïve – 版\0\n');
    const judged = execFileSync('sha512sum', { input: bytes, encoding: 'utf8' }).slice(0, 128);
    expect(digestOf(bytes)).toBe(judged);
    const hasher = createHasher();
    for (const byte of bytes) hasher.update(Uint8Array.of(byte));
    expect(hasher.digest()).toBe(judged);
  });

  it('does not depend on how the bytes are cut into chunks', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (chunks) => {
        const hasher = createHasher();
        for (const chunk of chunks) hasher.update(chunk);
        expect(hasher.digest()).toBe(digestOf(Buffer.concat(chunks)));
      }),
    );
  });

  it.each([
    ['upper case', digestOf('x').toUpperCase()],
    ['127 digits', digestOf('x').slice(1)],
    ['129 digits', `${digestOf('x')}0`],
    ['a line feed at the end', `${digestOf('x')}\n`],
    ['a line feed before', `\n${digestOf('x')}`],
    ['a path', `../${digestOf('x').slice(3)}`],
    ['full-width digits', `０${digestOf('x').slice(1)}`],
    ['nothing', ''],
  ])('refuses %s', async (_what, text) => {
    expect(isDigest(text)).toBe(false);
    await expectCacheError(() => parseDigest(text), 'invalid-digest', /128 lower-case hex digits/);
  });

  it('parses any string or refuses it as an invalid digest', async () => {
    expect(parseDigest(digestOf('x'))).toBe(digestOf('x'));
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[0-9a-fA-F]{126,130}$/));
    await fc.assert(
      fc.asyncProperty(text, async (candidate) => {
        if (/^[0-9a-f]{128}$/u.test(candidate)) expect(parseDigest(candidate)).toBe(candidate);
        else await expectCacheError(() => parseDigest(candidate), 'invalid-digest');
      }),
    );
  });

  it('quotes text from outside without control characters and on one line', () => {
    expect(quoteBriefly('a\n\u001b[31mb')).toBe(String.raw`"a\n\u001b[31mb"`);
    expect(quoteBriefly('x'.repeat(1e6)).length).toBeLessThan(100);
  });
});
