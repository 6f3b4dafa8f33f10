/** The reference documentation, and the ways to it (endpoints.md §3 misc, metrics-and-extras.md §6). */
import type { Call } from './call';
import { evaluateConditions } from './conditional';

/** A finished page. */
export interface Page {
    readonly contentType: string;
    readonly body: Buffer;
    /** Without quotes; another one as soon as a byte differs. */
    readonly etag: string;
}

/** The pages of this server. */
export interface Reference {
    /** The page of a path; undefined if there is none. */
    page(path: string): Page | undefined;
}

/** Where the documentation begins. */
export const DOCS = '/docs/';

/** In seconds. */
const MAX_AGE = 3600;

/** The pages have a style sheet and an icon of this server, and nothing else: no scripts, no forms, no frames. */
const POLICY = [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
].join('; ');

export function getPage(call: Call): void {
    const page = call.services.reference.page(call.route.path);
    if (!page) {
        throw new TypeError(`There is no page for ${call.route.path}.`);
    }
    const headers = {
        Etag: `"${page.etag}"`,
        'Cache-Control': `public, max-age=${MAX_AGE}`,
        'Content-Security-Policy': POLICY,
        'X-Content-Type-Options': 'nosniff',
    };
    if (evaluateConditions(call.method, call.headers, { etags: [page.etag] }).notModified) {
        call.sendEmpty(304, headers);
        return;
    }
    call.sendBytes(200, page.body, { ...headers, 'Content-Type': page.contentType });
}

export function redirectToDocs(call: Call): void {
    call.sendEmpty(301, { Location: DOCS, 'Content-Length': 0 });
}
