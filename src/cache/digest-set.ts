import type { Digest } from './digest.ts';

/**
 * Which digests were seen, in about 16 bytes each. Of each its first 64 bits are kept: `has` says yes of one that was
 * not added once in many million million times. Only for where a wrong yes merely keeps something.
 */
export interface DigestSet {
  readonly size: number;
  /** @returns whether it is new */
  add(digest: Digest): boolean;
  has(digest: Digest): boolean;
}

const FIRST_CAPACITY = 1024;

export function createDigestSet(): DigestSet {
  // Two words a slot; a slot of zeros is free.
  let slots = new Uint32Array(2 * FIRST_CAPACITY);
  let size = 0;

  /** Where the digest is, or would be. */
  const slotOf = (high: number, low: number): number => {
    const mask = slots.length / 2 - 1;
    // The digests are evenly spread by themselves.
    for (let index = low & mask; ; index = (index + 1) & mask) {
      const [a, b] = [slots[2 * index], slots[2 * index + 1]];
      if ((a === high && b === low) || (a === 0 && b === 0)) return 2 * index;
    }
  };

  const put = (high: number, low: number): boolean => {
    const slot = slotOf(high, low);
    if (slots[slot] === high && slots[slot + 1] === low) return false;
    slots[slot] = high;
    slots[slot + 1] = low;
    return true;
  };

  const grow = (): void => {
    const old = slots;
    slots = new Uint32Array(2 * old.length);
    for (let slot = 0; slot < old.length; slot += 2) {
      const [high = 0, low = 0] = [old[slot], old[slot + 1]];
      if (high !== 0 || low !== 0) put(high, low);
    }
  };

  return {
    get size() {
      return size;
    },
    add(digest) {
      if (4 * size >= slots.length) grow();
      const [high, low] = wordsOf(digest);
      const isNew = put(high, low);
      if (isNew) size++;
      return isNew;
    },
    has(digest) {
      const [high, low] = wordsOf(digest);
      const slot = slotOf(high, low);
      return slots[slot] === high && slots[slot + 1] === low;
    },
  };
}

function wordsOf(digest: Digest): readonly [high: number, low: number] {
  // Never both zero, which marks a free slot.
  return [parseInt(digest.slice(0, 8), 16), parseInt(digest.slice(8, 16), 16) || 1];
}
