/** Rows of a page. */
const PAGE_ROWS = 4096;
/** Hex digits of the shortest word that `search` accepts: shorter ones are in nearly every digest. */
export const SHORTEST_HEX = 8;

/**
 * Rows of equal length, such as digests, numbered from 0 and found by their bytes. A million digests take little more than
 * their own size, outside the heap of V8.
 */
export class BytesTable {
  readonly #width: number;
  readonly #pages: Buffer[] = [];
  /** Rows of one hash, as a list: the next row + 1, or 0. */
  #next = new Uint32Array(PAGE_ROWS);
  /** The first row + 1 of each hash. */
  #heads = new Uint32Array(PAGE_ROWS);
  #end = 0;
  readonly #free: number[] = [];

  /** @param width bytes of a row, 4 or more; they are spread evenly, as those of digests are */
  constructor(width: number) {
    this.#width = width;
  }

  /** How many rows there are. */
  get size(): number {
    return this.#end - this.#free.length;
  }

  /** All numbers of rows are below it. */
  get end(): number {
    return this.#end;
  }

  /** @returns the number of the row; -1 if there is none */
  find(bytes: Buffer): number {
    const slot = bytes.readUInt32LE(0) & (this.#heads.length - 1);
    for (let link = this.#heads[slot] ?? 0; link !== 0; link = this.#next[link - 1] ?? 0)
      if (this.#isEqual(link - 1, bytes)) return link - 1;
    return -1;
  }

  /** Adds a row that is not there. @returns its number */
  add(bytes: Buffer): number {
    const row = this.#free.pop() ?? this.#end++;
    const page = (this.#pages[Math.floor(row / PAGE_ROWS)] ??= Buffer.alloc(PAGE_ROWS * this.#width));
    bytes.copy(page, (row % PAGE_ROWS) * this.#width, 0, this.#width);
    if (row >= this.#next.length) {
      const longer = new Uint32Array(Math.ceil(this.#next.length * 1.5));
      longer.set(this.#next);
      this.#next = longer;
    }
    if (this.#end > 2 * this.#heads.length) this.#spread(4 * this.#heads.length);
    this.#link(row);
    return row;
  }

  remove(row: number): void {
    const slot = this.#slotOf(row);
    const next = this.#next[row] ?? 0;
    if (this.#heads[slot] === row + 1) this.#heads[slot] = next;
    else {
      let link = this.#heads[slot] ?? 0;
      while (link !== 0 && this.#next[link - 1] !== row + 1) link = this.#next[link - 1] ?? 0;
      if (link !== 0) this.#next[link - 1] = next;
    }
    const start = (row % PAGE_ROWS) * this.#width;
    this.#pageOf(row).fill(0, start, start + this.#width);
    this.#free.push(row);
  }

  hex(row: number): string {
    const start = (row % PAGE_ROWS) * this.#width;
    return this.#pageOf(row).toString('hex', start, start + this.#width);
  }

  /** Orders two rows by their bytes. */
  compare(a: number, b: number): number {
    const start = (b % PAGE_ROWS) * this.#width;
    return this.compareWith(a, this.#pageOf(b).subarray(start, start + this.#width));
  }

  /** Orders a row and other bytes. */
  compareWith(row: number, bytes: Buffer): number {
    const start = (row % PAGE_ROWS) * this.#width;
    return this.#pageOf(row).compare(bytes, 0, bytes.length, start, start + this.#width);
  }

  /**
   * Calls `onRow` for each row whose hex digits contain a word.
   * @param word lower-case hex digits, at least `SHORTEST_HEX`
   */
  search(word: string, onRow: (row: number) => void): void {
    // The bytes in the word, if it begins with a byte, or half a byte later.
    for (const skipped of [0, 1]) {
      const pattern = Buffer.from(
        word.slice(skipped, skipped + 2 * Math.floor((word.length - skipped) / 2)),
        'hex',
      );
      for (const [number, page] of this.#pages.entries()) {
        for (let at = page.indexOf(pattern); at !== -1; at = page.indexOf(pattern, at + 1)) {
          const row = number * PAGE_ROWS + Math.floor(at / this.#width);
          if (row < this.#end && this.hex(row).includes(word)) onRow(row);
        }
      }
    }
  }

  #pageOf(row: number): Buffer {
    const page = this.#pages[Math.floor(row / PAGE_ROWS)];
    if (page === undefined) throw new RangeError(`there is no row ${row}`);
    return page;
  }

  #isEqual(row: number, bytes: Buffer): boolean {
    return this.compareWith(row, bytes) === 0;
  }

  #slotOf(row: number): number {
    return this.#pageOf(row).readUInt32LE((row % PAGE_ROWS) * this.#width) & (this.#heads.length - 1);
  }

  #link(row: number): void {
    const slot = this.#slotOf(row);
    this.#next[row] = this.#heads[slot] ?? 0;
    this.#heads[slot] = row + 1;
  }

  /** Spreads all rows over more hashes: 25 ms for half a million. */
  #spread(size: number): void {
    const rows: number[] = [];
    for (const head of this.#heads)
      for (let link = head; link !== 0; link = this.#next[link - 1] ?? 0) rows.push(link - 1);
    this.#heads = new Uint32Array(size);
    for (const row of rows) this.#link(row);
  }
}
