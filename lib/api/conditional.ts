import type { IncomingHttpHeaders } from 'node:http';
import { ApiError } from '../errors';

/** What a request's conditions are compared with. */
export interface Validators {
    /** Any of these counts as the current one. */
    etags: readonly string[];
    lastModified?: Date | undefined;
}

/** An entity tag without what makes it weak, and without its quotes. */
export const opaqueTag = (tag: string): string =>
    tag
        .trim()
        .replace(/^W\//, '')
        .replace(/^"(.*)"$/, '$1');

const entityTags = (header: string) => header.split(',').map(opaqueTag);

const matches = (header: string, etags: readonly string[]) =>
    entityTags(header).some((tag) => tag === '*' || etags.includes(tag));

/** The time of an HTTP date header in whole seconds; undefined if it is absent or no date. */
function seconds(header: string | undefined): number | undefined {
    const time = header === undefined ? NaN : Date.parse(header);
    return Number.isNaN(time) ? undefined : Math.floor(time / 1000);
}

/**
 * Judges If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since (endpoints.md §1.6).
 *
 * @returns whether a read should be answered with 304
 * @throws ApiError PreconditionFailed
 */
export function evaluateConditions(
    method: string,
    headers: IncomingHttpHeaders,
    { etags, lastModified }: Validators,
): { notModified: boolean } {
    const reads = method === 'GET' || method === 'HEAD';
    const ifMatch = headers['if-match'];
    if (ifMatch !== undefined && !matches(ifMatch, etags)) {
        throw new ApiError(
            'PreconditionFailed',
            `If-Match is "${ifMatch}", but the ETag is "${String(etags[0])}".`,
        );
    }
    const modified = lastModified && Math.floor(lastModified.getTime() / 1000);
    const unmodifiedSince = seconds(headers['if-unmodified-since']);
    if (
        ifMatch === undefined &&
        modified !== undefined &&
        unmodifiedSince !== undefined &&
        modified > unmodifiedSince
    ) {
        throw new ApiError(
            'PreconditionFailed',
            `If-Unmodified-Since is "${String(headers['if-unmodified-since'])}", but the last change was at ${String(lastModified?.toUTCString())}.`,
        );
    }
    const ifNoneMatch = headers['if-none-match'];
    if (ifNoneMatch !== undefined) {
        if (!matches(ifNoneMatch, etags)) {
            return { notModified: false };
        }
        if (reads) {
            return { notModified: true };
        }
        throw new ApiError(
            'PreconditionFailed',
            `If-None-Match is "${ifNoneMatch}", which the current ETag matches.`,
        );
    }
    const modifiedSince = seconds(headers['if-modified-since']);
    return {
        notModified:
            reads && modified !== undefined && modifiedSince !== undefined && modified <= modifiedSince,
    };
}
