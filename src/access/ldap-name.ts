import { SASL_MECHANISMS } from 'ldapts';

/**
 * The DN to bind with: replaces each `{user}` of the template with the user's name, escaped by RFC 4514, 2.4.
 * @returns undefined when ldapts would take the result for a SASL mechanism
 */
export function bindDnOf(template: string, name: string): string | undefined {
  const dn = template.replaceAll('{user}', () => escapeDnValue(name));
  // With the template `{user}`, the name "EXTERNAL" would select another authentication.
  return SASL_MECHANISMS.some((mechanism) => mechanism === dn) ? undefined : dn;
}

function escapeDnValue(value: string): string {
  return value.replace(/["+,;<=>\\]|^[ #]| $/g, (character) => `\\${character}`);
}
