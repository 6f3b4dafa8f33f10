/** Pages of other origins may use the API in a browser (`cors`). It is no access control: others need no browser. */
import type { Headers } from '../api/call';

const METHODS = 'DELETE, GET, HEAD, OPTIONS, POST, PUT';
/** Headers that clients of this API send. */
const HEADERS =
    'Accept, Accept-Version, Authorization, Content-MD5, Content-Type, Date, Digest, If-Match, If-None-Match, Range, ' +
    'x-date, x-request-id';
/** Headers of answers that a page would not see otherwise. */
const EXPOSED = 'Content-MD5, Content-Range, ETag, Retry-After, x-request-id, x-server-name';

/** How long a browser may remember the answer to a preflight, in s. */
const MAX_AGE = 600;

export class Cors {
    readonly #origins: ReadonlySet<string>;
    readonly #common = {
        'Access-Control-Allow-Methods': METHODS,
        'Access-Control-Allow-Headers': HEADERS,
        'Access-Control-Expose-Headers': EXPOSED,
    };

    /** @param origins `*`, or origins such as `https://example.com` with commas between them */
    constructor(origins: string) {
        this.#origins = new Set(origins.split(',').map((origin) => origin.trim()));
    }

    /** What every answer has. @param origin the header Origin of the request */
    headers(origin: string | undefined): Headers {
        if (this.#origins.has('*')) {
            return { 'Access-Control-Allow-Origin': '*', ...this.#common };
        }
        return origin !== undefined && this.#origins.has(origin)
            ? { 'Access-Control-Allow-Origin': origin, Vary: 'Origin', ...this.#common }
            : { Vary: 'Origin' };
    }

    /** What the answer to a preflight has besides. */
    readonly preflight: Headers = { 'Access-Control-Max-Age': MAX_AGE };
}
