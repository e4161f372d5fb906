import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path/posix';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';

/** The floors of the house (design.md), top first. Calls go downward only; rooms on one floor don't import one another. */
const FLOORS = [
  ['cli'],
  ['server'],
  ['operations'],
  ['http', 'release', 'upstream', 'storage', 'config', 'access'],
  ['cache', 'files'],
] as const;

/** Packages that are known to one place only. */
const RESERVED: Readonly<Record<string, RegExp>> = {
  'node-forge': /^cache\/certificate\.ts$/,
  tar: /^release\//,
};

/** All that the core may import from outside. */
const CORE_PACKAGES = new Set([
  'node:crypto',
  'node:os',
  'node:sea',
  'node:stream',
  'node:util',
  'node:worker_threads',
  'zod',
  'node-forge',
]);

/** Each module's path below src/, and what it imports: paths below src/, or names of packages. */
type Graph = ReadonlyMap<string, readonly string[]>;

/** Whatever a module imports: by declarations, types, re-exports, `import()` and `import('…').Type`. */
function importsOf(path: string, text: string): readonly string[] {
  const found = new Set<string>();
  const visit = (node: ts.Node): void => {
    const specifier =
      ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
        ? node.moduleSpecifier
        : ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
          ? node.argument.literal
          : ts.isExternalModuleReference(node)
            ? node.expression
            : ts.isCallExpression(node) && isImporting(node.expression)
              ? node.arguments[0]
              : undefined;
    if (specifier !== undefined) {
      if (!ts.isStringLiteralLike(specifier))
        throw new Error(`${path}: imports something that only running it tells`);
      const name = specifier.text;
      found.add(name.startsWith('.') ? normalize(join(dirname(path), name)) : name);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  return [...found];
}

function isImporting(callee: ts.Expression): boolean {
  return (
    callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === 'require')
  );
}

function graphOf(files: Readonly<Record<string, string>>): Graph {
  return new Map(Object.entries(files).map(([path, text]) => [path, importsOf(path, text)]));
}

const isPackage = (graph: Graph, name: string): boolean => !graph.has(name) && !/\.[cm]?[jt]sx?$/.test(name);
const packageOf = (name: string): string =>
  name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
const roomOf = (path: string): string => path.split('/')[0] ?? '';
const floorOf = (path: string): number =>
  FLOORS.findIndex((rooms) => (rooms as readonly string[]).includes(roomOf(path)));

/** Every rule of the house that the graph breaks, in words. */
function faultsOf(graph: Graph): readonly string[] {
  return [...directionFaults(graph), ...packageFaults(graph), ...circleFaults(graph)];
}

function directionFaults(graph: Graph): readonly string[] {
  const faults: string[] = [];
  for (const [path, imports] of graph) {
    if (floorOf(path) === -1) faults.push(`${path} is in no room`);
    if (/(^|\/)index\.tsx?$/.test(path)) faults.push(`${path} is a barrel`);
    for (const target of imports) {
      if (isPackage(graph, target)) continue;
      if (!graph.has(target)) faults.push(`${path} imports ${target}, which is not there`);
      else if (roomOf(target) === roomOf(path)) continue;
      else if (floorOf(target) < floorOf(path)) faults.push(`${path} imports upward: ${target}`);
      else if (floorOf(target) === floorOf(path)) faults.push(`${path} imports sideways: ${target}`);
    }
  }
  return faults;
}

function packageFaults(graph: Graph): readonly string[] {
  const faults: string[] = [];
  for (const [path, imports] of graph) {
    for (const name of imports.filter((target) => isPackage(graph, target)).map(packageOf)) {
      const place = RESERVED[name];
      if (place !== undefined && !place.test(path)) faults.push(`${path} imports ${name}`);
      if (roomOf(path) === 'cache' && !CORE_PACKAGES.has(name))
        faults.push(`${path} of the core imports ${name}`);
    }
  }
  return faults;
}

/** One fault for each circle that is met on the way from file to file. */
function circleFaults(graph: Graph): readonly string[] {
  const faults: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): void => {
    const start = way.indexOf(path);
    if (start !== -1) faults.push(`circle: ${[...way.slice(start), path].join(' -> ')}`);
    if (start !== -1 || done.has(path)) return;
    for (const target of graph.get(path) ?? []) if (graph.has(target)) visit(target, [...way, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return faults;
}

/** All modules below a folder of the repository, by their paths in it. */
async function readModules(folder: string): Promise<Readonly<Record<string, string>>> {
  const source = fileURLToPath(new URL(`../${folder}`, import.meta.url));
  const files: Record<string, string> = {};
  for (const path of await readdir(source, { recursive: true })) {
    if (/\.tsx?$/.test(path)) files[path] = await readFile(join(source, path), 'utf8');
  }
  return files;
}

describe('the house', () => {
  let graph: Graph;

  beforeAll(async () => {
    graph = graphOf(await readModules('src'));
  });

  it('was looked at: every room, every kind of import', () => {
    expect(graph.size).toBeGreaterThan(40);
    for (const room of FLOORS.flat()) expect([...graph.keys()].map(roomOf)).toContain(room);
    expect([...graph.values()].flat().length).toBeGreaterThan(150);
    expect(graph.get('cli/program.ts')).toContain('cli/commands/import.ts');
    expect(graph.get('cache/certificate.ts')).toContain('node-forge');
    expect(graph.get('cache/directory.ts')).toContain('cache/object-storage.ts');
  });

  it('has no import that goes upward or to a room beside', () => {
    expect(directionFaults(graph)).toEqual([]);
  });

  it('has no circle of files', () => {
    expect(circleFaults(graph)).toEqual([]);
  });

  it('declares each command without what it does: help and wrong options load nothing else', () => {
    const declarations = [...graph].filter(([path]) => path.startsWith('cli/commands/'));
    expect(declarations.length).toBeGreaterThan(10);
    const light = ['cli/command.ts', 'cli/options.ts', 'cache/software-root.ts'];
    for (const [, imports] of declarations) expect(light).toEqual(expect.arrayContaining([...imports]));
  });

  it('keeps each package in its place', () => {
    expect(packageFaults(graph)).toEqual([]);
  });
});

it('scripts have no circle of files', async () => {
  const scripts = graphOf(await readModules('scripts'));
  expect(scripts.get('bench/main.ts')).toContain('bench/cases.ts');
  expect(circleFaults(scripts)).toEqual([]);
});

describe('the look at the house', () => {
  /** A house without a fault, to plant one in. */
  const SOUND = {
    'cli/main.ts': "import { a } from '../operations/a.ts'; export const load = () => import('./b.ts');",
    'cli/b.ts': "import type { C } from '../cache/c.ts';",
    'operations/a.ts': "import { h } from '../http/h.ts'; export { C } from '../cache/c.ts';",
    'http/h.ts': "import { C } from '../cache/c.ts'; import 'hono';",
    'storage/s.ts': "import { readFile } from 'node:fs/promises';",
    'cache/c.ts':
      "import { z } from 'zod'; import { createHash } from 'node:crypto'; // import '../cli/main.ts'",
    'cache/certificate.ts': "import type { asn1 } from 'node-forge';",
  };

  it('finds nothing where nothing is wrong', () => {
    expect(faultsOf(graphOf(SOUND))).toEqual([]);
  });

  it.each([
    ['an upward import', 'cache/x.ts', "import { h } from '../http/h.ts';", 'imports upward: http/h.ts'],
    [
      'an upward import of a type',
      'http/x.ts',
      "import type { a } from '../cli/main.ts';",
      'imports upward: cli/main.ts',
    ],
    [
      'an upward import()',
      'http/x.ts',
      "await import('../operations/a.ts');",
      'imports upward: operations/a.ts',
    ],
    [
      'an upward type by import()',
      'http/x.ts',
      "let a: import('../cli/b.ts').B;",
      'imports upward: cli/b.ts',
    ],
    ['an upward re-export', 'cache/x.ts', "export * from '../storage/s.ts';", 'imports upward: storage/s.ts'],
    [
      'an import from a room beside',
      'http/x.ts',
      "import { s } from '../storage/s.ts';",
      'imports sideways: storage/s.ts',
    ],
    ['a file in no room', 'util/x.ts', '', 'is in no room'],
    ['a file beside the rooms', 'x.ts', '', 'is in no room'],
    ['a barrel', 'http/index.ts', "export * from './h.ts';", 'is a barrel'],
    ['an import of nothing', 'http/x.ts', "import './y.ts';", 'imports http/y.ts, which is not there'],
    ['node-forge elsewhere', 'http/x.ts', "await import('node-forge');", 'imports node-forge'],
    ['tar elsewhere', 'operations/x.ts', "import { Parser } from 'tar';", 'imports tar'],
    [
      'a package that the core must not have',
      'cache/x.ts',
      "import 'node:fs/promises';",
      'of the core imports node:fs',
    ],
  ])('finds %s', (_what, path, text, fault) => {
    expect(faultsOf(graphOf({ ...SOUND, [path]: text }))).toEqual([
      expect.stringContaining(`${path} ${fault}`),
    ]);
  });

  it('finds a circle of three files, of which one only imports a type', () => {
    const planted = {
      'http/x.ts': "import { y } from './y.ts';",
      'http/y.ts': "export const z = () => import('./z.ts');",
      'http/z.ts': "import type { X } from './x.ts';",
    };
    expect(faultsOf(graphOf({ ...SOUND, ...planted }))).toEqual([
      'circle: http/x.ts -> http/y.ts -> http/z.ts -> http/x.ts',
    ]);
    expect(faultsOf(graphOf({ ...SOUND, 'http/x.ts': "import './x.ts';" }))).toEqual([
      'circle: http/x.ts -> http/x.ts',
    ]);
  });

  it('does not pass over an import whose name it cannot tell', () => {
    expect(() => graphOf({ 'cli/x.ts': 'await import(name);' })).toThrow(/cli\/x\.ts/);
  });
});
