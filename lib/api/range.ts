import type { IncomingHttpHeaders } from 'node:http';
import { ApiError } from '../errors';

export interface ByteRange {
    /** First and last byte, both inclusive. */
    start: number;
    end: number;
}

/** Whether If-Range (if given) still names the current version, so that a Range may be honoured. */
function rangeApplies(ifRange: string | undefined, etag: string, lastModified: Date | undefined): boolean {
    if (ifRange === undefined) {
        return true;
    }
    const tag = ifRange.trim().replace(/^"(.*)"$/, '$1');
    if (tag === etag) {
        return true;
    }
    const date = Date.parse(ifRange);
    return (
        lastModified !== undefined &&
        !Number.isNaN(date) &&
        Math.floor(lastModified.getTime() / 1000) === Math.floor(date / 1000)
    );
}

/**
 * One range of bytes: from a first to a last one, from a first one on, or so many at the end. Its parts are trimmed
 * apart from it: with optional blanks in the expression, a header of blanks would take quadratic time.
 */
const ONE_RANGE = /^bytes=([^-]*)-([^-]*)$/i;
const POSITION = /^\d*$/;

/** The part of `size` bytes that a Range header names; undefined if the header is to be passed over. */
function parseRange(header: string, size: number): ByteRange | 'outside' | undefined {
    const [, first = '', last = ''] = (ONE_RANGE.exec(header) ?? []).map((part) => part.trim());
    if ((first === '' && last === '') || !POSITION.test(first) || !POSITION.test(last)) {
        return undefined;
    }
    if (first === '') {
        const length = Math.min(Number(last), size);
        return length === 0 ? 'outside' : { start: size - length, end: size - 1 };
    }
    const start = Number(first);
    const end = last === '' ? Infinity : Number(last);
    if (end < start) {
        return undefined;
    }
    return start >= size ? 'outside' : { start, end: Math.min(end, size - 1) };
}

/**
 * The part of an object that a request asks for; undefined for all of it.
 *
 * Several ranges at once, other units and ranges that cannot be parsed are answered with the whole object.
 * @throws ApiError RequestedRangeNotSatisfiable
 */
export function requestedRange(
    headers: IncomingHttpHeaders,
    { size, etag, lastModified }: { size: number; etag: string; lastModified: Date | undefined },
): ByteRange | undefined {
    const header = headers.range;
    if (
        header === undefined ||
        !rangeApplies(headers['if-range'] as string | undefined, etag, lastModified)
    ) {
        return undefined;
    }
    const range = parseRange(header, size);
    if (range === 'outside') {
        throw new ApiError(
            'RequestedRangeNotSatisfiable',
            `Range is "${header}", but the file has ${size} bytes.`,
            { headers: { 'Content-Range': `bytes */${size}` } },
        );
    }
    return range;
}
