import { createSigner, type Signer } from '../../src/cache/signature.ts';
import { keyPairOf } from '../fixtures/key-pairs.ts';

/** Somebody who signs, the same for the same name. */
export async function createTestSigner(commonName = 'test'): Promise<Signer> {
  return createSigner(await keyPairOf(commonName), { privateKey: 'sign.key', certificate: 'sign.crt' });
}
