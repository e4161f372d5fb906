const FIRST_LENGTH = 1024;

/** Numbers by row, in a typed array that grows; 0 where none was set. */
export class Column {
  #values: Uint32Array | Float64Array;

  /** `whole`: from 0 to 2³² - 1, in half of the memory. */
  constructor(kind: 'whole' | 'any') {
    this.#values = kind === 'whole' ? new Uint32Array(FIRST_LENGTH) : new Float64Array(FIRST_LENGTH);
  }

  get(row: number): number {
    return this.#values[row] ?? 0;
  }

  set(row: number, value: number): void {
    if (row >= this.#values.length) {
      const length = Math.max(row + 1, Math.ceil(this.#values.length * 1.25));
      const longer = this.#values instanceof Uint32Array ? new Uint32Array(length) : new Float64Array(length);
      longer.set(this.#values);
      this.#values = longer;
    }
    this.#values[row] = value;
  }
}
