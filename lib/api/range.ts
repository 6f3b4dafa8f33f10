import type { IncomingHttpHeaders } from 'node:http';
import parseRange from 'range-parser';
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
    const ranges = parseRange(size, header);
    if (ranges === -1) {
        throw new ApiError(
            'RequestedRangeNotSatisfiable',
            `Range is "${header}", but the file has ${size} bytes.`,
            { headers: { 'Content-Range': `bytes */${size}` } },
        );
    }
    const first = ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1 ? undefined : ranges[0];
    return first && { start: first.start, end: first.end };
}
