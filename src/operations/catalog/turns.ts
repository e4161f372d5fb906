/** Runs what concerns the same thing in turn; other things meanwhile. */
export function createTurns(): (thing: string, act: () => Promise<void>) => Promise<void> {
  const last = new Map<string, Promise<void>>();
  return (thing, act) => {
    const before = last.get(thing);
    const acting = before === undefined ? act() : before.then(act, act);
    const settled = acting
      .catch(() => undefined)
      .finally(() => {
        if (last.get(thing) === settled) last.delete(thing);
      });
    last.set(thing, settled);
    return acting;
  };
}
