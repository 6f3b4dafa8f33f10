import { createHash } from 'node:crypto';
import type { SignedDigest } from '../auth/driver';
import { ApiError } from '../errors';

/**
 * The bytes of a body as they arrive, which have to be those whose digest was signed.
 *
 * @throws ApiError UnauthorizedError after the last byte if they are not: nothing may have been made of them by then
 */
export async function* signedBody(
    source: AsyncIterable<Buffer>,
    { algorithm, value }: SignedDigest,
): AsyncGenerator<Buffer> {
    const hash = createHash(algorithm);
    for await (const chunk of source) {
        hash.update(chunk);
        yield chunk;
    }
    const actual = hash.digest();
    if (!actual.equals(value)) {
        throw new ApiError(
            'UnauthorizedError',
            `The body is not the one that was signed: its ${algorithm === 'sha256' ? 'SHA-256' : 'SHA-512'} is ` +
                `"${actual.toString('base64')}", but the Digest header has "${value.toString('base64')}".`,
        );
    }
}
