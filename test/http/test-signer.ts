import { createKeyPair } from '../../src/cache/certificate.ts';
import { createSigner, type Signer } from '../../src/cache/signature.ts';

/** Somebody who signs, with a key made for the test. */
export async function createTestSigner(commonName = 'test'): Promise<Signer> {
  // 2048 bits: such a key is made in a tenth of the time.
  const pair = await createKeyPair({ commonName, days: 2, bits: 2048 });
  return createSigner(pair, { privateKey: 'sign.key', certificate: 'sign.crt' });
}
