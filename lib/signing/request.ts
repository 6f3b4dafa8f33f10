/** HTTP Signature (draft-cavage-http-signatures) from the client's side. */
import type { Algorithm } from './algorithms';
import type { Signer } from './signer';

/** Names that stand for the first line of a request rather than for a header. */
export const REQUEST_TARGET = '(request-target)';
export const REQUEST_LINE = 'request-line';

/** The parts of a request that are to be signed. */
export interface RequestToSign {
    /** What to sign, in this order: names of headers in lower case, {@link REQUEST_TARGET}, {@link REQUEST_LINE}. */
    readonly names: readonly string[];
    /** The values of the headers, by their names in lower case. */
    readonly headers: ReadonlyMap<string, string>;
    /** Needed for the first line. */
    readonly method?: string | undefined;
    /** Path and query, exactly as they are sent; needed for the first line. */
    readonly target?: string | undefined;
}

/** The text that is signed. @throws Error if it lacks a part */
export function signingString({ names, headers, method, target }: RequestToSign): string {
    return names
        .map((name) => {
            if (name === REQUEST_TARGET || name === REQUEST_LINE) {
                if (method === undefined || target === undefined) {
                    throw new Error(`${name} can be signed only with the method and target of the request`);
                }
                return name === REQUEST_LINE
                    ? `${method} ${target} HTTP/1.1`
                    : `${name}: ${method.toLowerCase()} ${target}`;
            }
            const value = headers.get(name);
            if (value === undefined) {
                throw new Error(`The header ${name} is to be signed but has no value`);
            }
            return `${name}: ${value}`;
        })
        .join('\n');
}

/**
 * The value of the Authorization header.
 *
 * @param keyId whose key it is; must not contain `"` nor anything that a header cannot carry
 * @throws SigningError
 */
export async function authorization(
    signer: Signer,
    { keyId, algorithm, request }: { keyId: string; algorithm: Algorithm; request: RequestToSign },
): Promise<string> {
    const signature = await signer.sign(Buffer.from(signingString(request)), algorithm);
    const parameters = [
        ['keyId', keyId],
        ['algorithm', algorithm.name],
        ['headers', request.names.join(' ')],
        ['signature', signature.toString('base64')],
    ];
    return `Signature ${parameters.map(([name, value]) => `${name ?? ''}="${value ?? ''}"`).join(',')}`;
}
