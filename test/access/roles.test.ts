import { describe, expect, it } from 'vitest';
import { createRoleLookup, highestRole, isAllowed } from '../../src/access/roles.ts';

describe('roles', () => {
  it('include those before them', () => {
    const roles = ['read', 'upload', 'admin'] as const;
    const table = roles.map((held) => roles.map((needed) => isAllowed(held, needed)));
    expect(table).toEqual([
      [true, false, false],
      [true, true, false],
      [true, true, true],
    ]);
    expect(roles.map((needed) => isAllowed(undefined, needed))).toEqual([false, false, false]);
  });

  it('add up to the strongest', () => {
    expect(highestRole('read', undefined, 'admin', 'upload')).toBe('admin');
    expect(highestRole(undefined, 'read')).toBe('read');
    expect(highestRole(undefined, undefined)).toBeUndefined();
  });

  it('are given to names exactly as they are listed', () => {
    const roleOf = createRoleLookup({ uploadUsers: ['builder', 'both'], adminUsers: ['zoë', 'both'] });
    expect(['builder', 'zoë', 'both'].map(roleOf)).toEqual(['upload', 'admin', 'admin']);
    expect(['Builder', 'builder ', 'ZOË', 'constructor', ''].map(roleOf)).toEqual(
      Array.from({ length: 5 }, () => undefined),
    );
  });
});
