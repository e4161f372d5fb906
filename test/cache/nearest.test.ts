import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearest } from '../../src/cache/nearest.ts';

const url = (version: string, software: string, name = 'software.cfg') =>
  `https://lab.nexedi.com/nexedi/slapos/raw/${version}/software/${software}/${name}`;

/** Optimal string alignment by its recursive definition. */
function plainDistance(a: string, b: string): number {
  const rows: number[][] = [];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Infinity;
  for (let i = 0; i <= a.length; i += 1) {
    const row: number[] = [];
    rows.push(row);
    for (let j = 0; j <= b.length; j += 1) {
      const steps = [at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)];
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) steps.push(at(i - 2, j - 2) + 1);
      row.push(i === 0 && j === 0 ? 0 : Math.min(...steps));
    }
  }
  return at(a.length, b.length);
}

describe('nearest', () => {
  it('finds a key behind a missing, doubled, wrong or swapped character', () => {
    const keys = ['listen', 'public-url', 'tls', 'tls-certificate', 'tls-key', 'tls-names'];
    for (const word of ['lsten', 'listenn', 'lixten', 'lisetn', 'LISTEN', 'Listne']) {
      expect(nearest(word, keys, { limit: 1 }), word).toEqual(['listen']);
    }
    expect(nearest('tsl', keys, { limit: 1 })).toEqual(['tls']);
    expect(nearest('tls_key', keys, { limit: 1 })).toEqual(['tls-key']);
    expect(nearest('certificate', keys, { limit: 1 })).toEqual(['tls-certificate']);
  });

  it('finds nothing when nothing is alike', () => {
    expect(nearest('xylophone', ['listen', 'tls', 'path'], { limit: 3 })).toEqual([]);
    expect(nearest('listen', [], { limit: 3 })).toEqual([]);
    expect(nearest('', ['listen'], { limit: 3 })).toEqual([]);
  });

  it('gives no more than the limit, the nearest first, equals in the order they came', () => {
    expect(nearest('abcdef', ['abcxyf', 'abcdeg', 'abcdef', 'abcdeh', 'abcdei'], { limit: 3 })).toEqual([
      'abcdef',
      'abcdeg',
      'abcdeh',
    ]);
    expect(nearest('abc', ['abc'], { limit: 0 })).toEqual([]);
  });

  it('puts the same URL of another version before another software of the same version', () => {
    const known = [
      url('1.0.344', 'rapid-cd'),
      url('1.0.344', 'erp5'),
      url('1.0.344', 're6stnet'),
      url('1.0.20991', 'rapid-cdn'),
      url('1.0.349', 'rapid-cdn'),
      url('2.1', 'rapid-cdn'),
    ];
    expect(nearest(url('1.0.344', 'rapid-cdn'), known, { limit: 3 })).toEqual([
      url('1.0.349', 'rapid-cdn'),
      url('1.0.20991', 'rapid-cdn'),
      url('2.1', 'rapid-cdn'),
    ]);
  });

  it('leaves out other software: what is between two slashes must be alike by itself', () => {
    const known = [
      url('1.0.344', 'rapid-cdn'),
      url('1.0.352', 'kvm'),
      url('1.0.338', 're6stnet'),
      url('1.0.349', 'slapos-master'),
    ];
    expect(nearest(url('1.0.338', 're6stnet', 'sofware.cfg'), known, { limit: 3 })).toEqual([
      url('1.0.338', 're6stnet'),
    ]);
    expect(nearest(url('1.0.338', 'erp5'), known, { limit: 3 })).toEqual([]);
  });

  it('takes a branch for a version, and finds what has a folder more or less', () => {
    const known = [url('1.0.352', 'kvm'), url('1.0.338', 're6stnet')];
    for (const branch of ['master', 'v1.0.344', 'release-2', '3f2a9c1'])
      expect(nearest(url(branch, 'kvm'), known, { limit: 3 }), branch).toEqual([url('1.0.352', 'kvm')]);
    for (const branch of ['main', 'v1.0.344', '3f2a9c1', '1.0.352'])
      expect(nearest(url(branch, 'kvm'), [url('master', 'kvm')], { limit: 3 }), branch).toEqual([
        url('master', 'kvm'),
      ]);
    expect(nearest(url('1.0.352', 'kvm').replace('/raw', ''), known, { limit: 1 })).toEqual([
      url('1.0.352', 'kvm'),
    ]);
  });

  it('ranks versions by how far they are, the first difference counting most', () => {
    const versions = ['2.0.344', '1.1.344', '1.0.300', '1.0.345', '1.0', '1.0.344'];
    const ranked = nearest(
      url('1.0.344', 'kvm'),
      versions.map((version) => url(version, 'kvm')),
      { limit: 6 },
    );
    expect(ranked).toEqual(
      ['1.0.344', '1.0.345', '1.0.300', '1.0', '1.1.344', '2.0.344'].map((version) => url(version, 'kvm')),
    );
  });

  it('takes a commit for a version', () => {
    const wanted = url('3f2a9c0d1e4b5a69788796a5b4c3d2e1f0011223', 'erp5');
    const other = url('00ff9c0d1e4b5a69788796a5b4c3d2e1f0019999', 'erp5');
    expect(nearest(wanted, [url('master', 'erp5'), url('1.0.3', 'erp6'), other], { limit: 1 })).toEqual([
      other,
    ]);
  });

  it('puts the exact text before one that differs in case only', () => {
    expect(nearest('Abc', ['abc', 'ABC', 'Abc'], { limit: 2 })).toEqual(['Abc', 'abc']);
  });

  it('ranks like the plain edit distance', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 9 });
    fc.assert(
      fc.property(
        text,
        fc.array(text, { maxLength: 12 }),
        fc.integer({ min: 1, max: 4 }),
        (word, texts, limit) => {
          const expected = texts
            .map((candidate) => ({ candidate, edits: plainDistance(word, candidate) }))
            .filter(
              ({ candidate, edits }) => edits <= Math.floor(Math.max(word.length, candidate.length) / 2),
            )
            .sort((a, b) => a.edits - b.edits)
            .slice(0, limit);
          expect(nearest(word, texts, { limit })).toEqual(expected.map(({ candidate }) => candidate));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('searches 10 000 long URLs', () => {
    const words = [
      'rapid',
      'cdn',
      'kvm',
      'erp',
      'node',
      'proxy',
      'monitor',
      'slapos',
      'repository',
      'frontend',
    ];
    const known = Array.from({ length: 10_000 }, (_, index) => {
      const part = (divisor: number) => words[Math.floor(index / divisor) % words.length] ?? '';
      const name = `${part(1)}-${part(10)}-${part(100)}-${part(1000)}`;
      return url(`1.0.${index % 37}`, name, `instance-${part(10)}-${part(1)}-default-software.cfg`);
    });
    expect(known.every(({ length }) => length > 100)).toBe(true);
    const wanted = url('1.0.9999', 'rapid-kvm-cdn-cnd', 'instance-kvm-rapid-default-software.cfg');
    const [best] = nearest(wanted, known, { limit: 5 });
    const unrelated = nearest('z'.repeat(120), known, { limit: 5 });
    expect(best).toContain('/rapid-kvm-cdn-cdn/');
    expect(unrelated).toEqual([]);
  });
});
