import { SASL_MECHANISMS } from 'ldapts';

/**
 * The name to bind with: the template with the user's name in place of each `{user}`, escaped as RFC 4514, 2.4 wants it.
 * @returns undefined when ldapts would take the result for something else than a name
 */
export function bindDnOf(template: string, name: string): string | undefined {
  const dn = template.replaceAll('{user}', () => escapeDnValue(name));
  // With `{user}` alone as template, the name "EXTERNAL" would ask for another way of authentication.
  return SASL_MECHANISMS.some((mechanism) => mechanism === dn) ? undefined : dn;
}

function escapeDnValue(value: string): string {
  return value.replace(/["+,;<=>\\]|^[ #]| $/g, (character) => `\\${character}`);
}
