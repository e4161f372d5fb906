import { Column } from './column.ts';

/** Bytes of a page; a longer text has a page of its own. */
const PAGE_SIZE = 64 * 1024;
/** Bytes by which texts are ordered, at most. */
const HEAD_SIZE = 256;
/** Bytes that UTF-8 never has: between the fields of a text, and after a text. */
const FIELD_END = 0xff;
const TEXT_END = 0xfe;

interface Page {
  readonly bytes: Buffer;
  used: number;
  /** Bytes of texts that were not removed. */
  live: number;
  /** The texts in it, also removed ones, and where each begins; by position. */
  readonly texts: number[];
  readonly starts: number[];
}

/**
 * Texts of a few fields, found by their parts in any case. They are outside the heap of V8, which would take twice the memory
 * before it collects garbage. Texts have numbers from 1.
 */
export class TextPages {
  readonly #pages: (Page | undefined)[] = [];
  readonly #freePages: number[] = [];
  #current = -1;
  /** Number of the page * `PAGE_SIZE` + offset in it. */
  readonly #position = new Column('whole');
  readonly #length = new Column('whole');
  /** Bytes that count for the order. */
  readonly #head = new Column('whole');
  readonly #owner = new Column('whole');
  #end = 1;
  readonly #free: number[] = [];
  #bytes = 0;

  /** Bytes of all texts. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param owner told by `search` */
  add(fields: readonly string[], owner: number): number {
    const joined = fields.join('\n');
    const lower = joined.toLowerCase();
    const parts = (lower === joined ? fields : [...fields, lower]).map((field) => Buffer.from(field));
    const separator = Buffer.from([FIELD_END]);
    const bytes = Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [separator, part])));
    const text = this.#free.pop() ?? this.#end++;
    this.#length.set(text, bytes.length);
    this.#head.set(text, Math.min(HEAD_SIZE, parts[0]?.length ?? 0));
    this.#owner.set(text, owner);
    this.#place(text, bytes);
    this.#bytes += bytes.length;
    return text;
  }

  /** The first `count` fields of a text. */
  fields(text: number, count: number): readonly string[] {
    const { bytes, offset } = this.#placeOf(text);
    const end = offset + this.#length.get(text);
    const fields: string[] = [];
    for (let start = offset; fields.length < count;) {
      const found = bytes.indexOf(FIELD_END, start);
      const stop = found === -1 || found > end ? end : found;
      fields.push(bytes.toString('utf8', start, stop));
      start = Math.min(stop + 1, end);
    }
    return fields;
  }

  /** The bytes by which a text is ordered: the first of its first field. */
  head(text: number): Buffer {
    const { bytes, offset } = this.#placeOf(text);
    return bytes.subarray(offset, offset + this.#head.get(text));
  }

  /** Orders a text and the head of another one. */
  compare(text: number, head: Buffer): number {
    const { bytes, offset } = this.#placeOf(text);
    return bytes.compare(head, 0, head.length, offset, offset + this.#head.get(text));
  }

  remove(text: number): void {
    const number = Math.floor(this.#position.get(text) / PAGE_SIZE);
    const page = this.#pages[number];
    if (page === undefined) throw new RangeError(`there is no text ${text}`);
    const length = this.#length.get(text);
    page.live -= length;
    this.#bytes -= length;
    this.#position.set(text, NOWHERE);
    this.#free.push(text);
    if (number === this.#current || page.live > page.used / 2) return;
    // Moves the others, so that removed texts take no more memory than the others do.
    for (const [index, other] of page.texts.entries()) {
      if (!this.#isIn(other, number, page, index)) continue;
      const start = page.starts[index] ?? 0;
      this.#place(other, page.bytes.subarray(start, start + this.#length.get(other)));
    }
    this.#pages[number] = undefined;
    this.#freePages.push(number);
  }

  /** Calls `onOwner` with the owner of each text that contains a word. @param word in lower case */
  search(word: string, onOwner: (owner: number) => void): void {
    const pattern = Buffer.from(word);
    for (const [number, page] of this.#pages.entries()) {
      if (page === undefined) continue;
      const filled = page.bytes.subarray(0, page.used);
      for (let at = filled.indexOf(pattern); at !== -1;) {
        const index = indexAt(page.starts, at);
        const text = page.texts[index] ?? 0;
        if (this.#isIn(text, number, page, index)) onOwner(this.#owner.get(text));
        const next = page.starts[index + 1];
        at = next === undefined ? -1 : filled.indexOf(pattern, next);
      }
    }
  }

  #placeOf(text: number): { readonly bytes: Buffer; readonly offset: number } {
    const position = this.#position.get(text);
    const page = this.#pages[Math.floor(position / PAGE_SIZE)];
    if (page === undefined) throw new RangeError(`there is no text ${text}`);
    return { bytes: page.bytes, offset: position % PAGE_SIZE };
  }

  /** Whether a text is still the one at an index of a page: removed texts stay in the lists of their page. */
  #isIn(text: number, number: number, page: Page, index: number): boolean {
    return this.#position.get(text) === number * PAGE_SIZE + (page.starts[index] ?? 0);
  }

  #place(text: number, bytes: Buffer): void {
    let page = this.#pages[this.#current];
    if (page === undefined || page.used + bytes.length + 1 > page.bytes.length) {
      const size = Math.max(PAGE_SIZE, bytes.length + 1);
      page = { bytes: Buffer.allocUnsafeSlow(size), used: 0, live: 0, texts: [], starts: [] };
      this.#current = this.#freePages.pop() ?? this.#pages.length;
      this.#pages[this.#current] = page;
    }
    bytes.copy(page.bytes, page.used);
    page.bytes[page.used + bytes.length] = TEXT_END;
    this.#position.set(text, this.#current * PAGE_SIZE + page.used);
    page.texts.push(text);
    page.starts.push(page.used);
    page.used += bytes.length + 1;
    page.live += bytes.length;
  }
}

/** No position: the last page would have to be full of other texts. */
const NOWHERE = 0xffffffff;

/** The index of the last start that is not behind a position. */
function indexAt(starts: readonly number[], position: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((starts[middle] ?? 0) <= position) low = middle;
    else high = middle - 1;
  }
  return low;
}
