/** Items of a chunk: few enough to be moved quickly, enough for few chunks. */
const CHUNK_SIZE = 1024;

interface Chunk {
  readonly items: Uint32Array;
  length: number;
}

/**
 * Numbers in the order that `compare` gives, none of them equal. Adding and removing take the time of a binary search, so that
 * no request waits for a sort.
 */
export class SortedList {
  readonly #compare: (a: number, b: number) => number;
  #chunks: Chunk[] = [];
  #length = 0;

  /** @param compare must give the same result for as long as both are in the list */
  constructor(compare: (a: number, b: number) => number) {
    this.#compare = compare;
  }

  get length(): number {
    return this.#length;
  }

  add(item: number): void {
    const [number, index] = this.#find((other) => this.#compare(other, item));
    let chunk = this.#chunks[number];
    this.#length++;
    if (chunk === undefined) {
      // Behind all others.
      const last = this.#chunks.at(-1);
      if (last !== undefined && last.length < CHUNK_SIZE) insert(last, last.length, item);
      else {
        chunk = { items: new Uint32Array(CHUNK_SIZE), length: 0 };
        insert(chunk, 0, item);
        this.#chunks.push(chunk);
      }
      return;
    }
    if (chunk.length < CHUNK_SIZE) {
      insert(chunk, index, item);
      return;
    }
    const half = CHUNK_SIZE / 2;
    const right: Chunk = { items: new Uint32Array(CHUNK_SIZE), length: half };
    right.items.set(chunk.items.subarray(half));
    chunk.length = half;
    this.#chunks.splice(number + 1, 0, right);
    if (index <= half) insert(chunk, index, item);
    else insert(right, index - half, item);
  }

  remove(item: number): void {
    const [number, index] = this.#find((other) => this.#compare(other, item));
    const chunk = this.#chunks[number];
    if (chunk?.items[index] !== item) throw new RangeError(`${item} is not in the list`);
    chunk.items.copyWithin(index, index + 1, chunk.length);
    chunk.length--;
    this.#length--;
    if (chunk.length === 0) this.#chunks.splice(number, 1);
  }

  /**
   * Visits the items in order, or in reverse, until `visit` returns false.
   * @param position compares an item with a position behind which to begin; by default with the beginning
   */
  walk(isReverse: boolean, visit: (item: number) => boolean, position?: (item: number) => number): void {
    if (isReverse) this.#walkBack(visit, position);
    else this.#walkOn(visit, position);
  }

  #walkOn(visit: (item: number) => boolean, position?: (item: number) => number): void {
    let [number, index] =
      position === undefined ? [0, 0] : this.#find((item) => (position(item) > 0 ? 0 : -1));
    for (let chunk = this.#chunks[number]; chunk !== undefined; chunk = this.#chunks[++number], index = 0)
      for (; index < chunk.length; index++) if (!visit(chunk.items[index] ?? 0)) return;
  }

  #walkBack(visit: (item: number) => boolean, position?: (item: number) => number): void {
    let [number, index] =
      position === undefined ? [this.#chunks.length, 0] : this.#find((item) => (position(item) < 0 ? -1 : 0));
    for (;;) {
      if (index === 0) {
        number--;
        index = this.#chunks[number]?.length ?? 0;
        if (index === 0) return;
      }
      index--;
      if (!visit(this.#chunks[number]?.items[index] ?? 0)) return;
    }
  }

  /** The place of the first item for which `order` is not negative; behind the last chunk if there is none. */
  #find(order: (item: number) => number): [chunk: number, index: number] {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { items, length } = this.#chunks[middle] ?? { items: [0], length: 1 };
      if (order(items[length - 1] ?? 0) < 0) low = middle + 1;
      else high = middle;
    }
    const chunk = this.#chunks[low];
    if (chunk === undefined) return [low, 0];
    let [from, to] = [0, chunk.length - 1];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (order(chunk.items[middle] ?? 0) < 0) from = middle + 1;
      else to = middle;
    }
    return [low, from];
  }
}

function insert(chunk: Chunk, index: number, item: number): void {
  chunk.items.copyWithin(index + 1, index, chunk.length);
  chunk.items[index] = item;
  chunk.length++;
}
