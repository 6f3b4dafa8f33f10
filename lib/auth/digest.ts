/** The Digest header (RFC 3230), for bodies whose digest is signed. */
import type { SignedDigest } from './driver';
import { refusal, shown } from './refusal';

/** What is checked, by the names that clients give. The order is that of preference. */
const ALGORITHMS: ReadonlyMap<string, { algorithm: SignedDigest['algorithm']; bytes: number }> = new Map([
    ['sha-512', { algorithm: 'sha512', bytes: 64 }],
    ['sha-256', { algorithm: 'sha256', bytes: 32 }],
]);

const EXPECTED = 'it has to be SHA-256= or SHA-512= and the digest in base64';

/**
 * What a Digest header says of the body. Of several digests the best counts; those of other algorithms are passed over.
 *
 * @throws ApiError UnauthorizedError if there is none that can be checked
 */
export function parseDigest(header: string): SignedDigest {
    const values = new Map<string, string>();
    for (const instance of header.split(',')) {
        const [name = '', ...value] = instance.split('=');
        values.set(name.trim().toLowerCase(), value.join('=').trim());
    }
    for (const [name, { algorithm, bytes }] of ALGORITHMS) {
        const given = values.get(name);
        if (given !== undefined) {
            const value = Buffer.from(given, 'base64');
            if (value.length !== bytes || value.toString('base64') !== given) {
                throw refusal(
                    `The Digest header is ${shown(header)}; ${EXPECTED}, which has ${bytes} bytes.`,
                    'digest',
                );
            }
            return { algorithm, value };
        }
    }
    throw refusal(`The Digest header is ${shown(header)}; ${EXPECTED}.`, 'digest');
}
