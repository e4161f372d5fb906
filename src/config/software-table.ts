/**
 * `[software]`, `[pin]`: the software URL of each release name. Names ignore case, because ConfigParser lower-cases them.
 * Iterates over `[name as written, URL]` in the order of the file.
 */
export class SoftwareTable implements Iterable<readonly [name: string, url: string]> {
  readonly #urls: ReadonlyMap<string, readonly [name: string, url: string]>;

  constructor(entries: Iterable<readonly [name: string, url: string]>) {
    this.#urls = new Map(Array.from(entries, ([name, url]) => [name.toLowerCase(), [name, url] as const]));
    Object.freeze(this);
  }

  get size(): number {
    return this.#urls.size;
  }

  get(name: string): string | undefined {
    return this.#urls.get(name.toLowerCase())?.[1];
  }

  [Symbol.iterator](): Iterator<readonly [name: string, url: string]> {
    return this.#urls.values();
  }
}
