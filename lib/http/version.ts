import semver from 'semver';
import { ApiError } from '../errors';

/** The API versions this server speaks; they differ in the `channels` field only (endpoints.md §1.3). */
const VERSIONS = ['1.0.0', '2.0.0'];

/** Longer ranges are refused, in characters: judging one, and remembering it, costs in proportion to its length. */
const LONGEST_RANGE = 256;

const MOST_REMEMBERED = 200;
const remembered = new Map<string, boolean>();

/**
 * Whether the request's Accept-Version covers version 2.
 * @throws ApiError InvalidVersion if it covers no version this server speaks
 */
export function acceptsVersion2(
    headers: NodeJS.Dict<string | string[]>,
    method: string,
    path: string,
): boolean {
    const asked = headers['accept-version'];
    if (asked === undefined) {
        // Counts as "~1".
        return false;
    }
    const range = String(asked === '' ? (headers['x-api-version'] ?? '*') : asked);
    if (range.length > LONGEST_RANGE) {
        throw new ApiError(
            'InvalidVersion',
            `Accept-Version has ${range.length} characters; it takes a range of at most ${LONGEST_RANGE}.`,
        );
    }
    const known = remembered.get(range);
    if (known !== undefined) {
        return known;
    }
    const covered = VERSIONS.filter((version) => semver.satisfies(version, range));
    if (covered.length === 0) {
        throw new ApiError(
            'InvalidVersion',
            `Accept-Version is "${range}"; ${method} ${path} speaks ${VERSIONS.join(' and ')}.`,
        );
    }
    const version2 = covered.includes('2.0.0');
    if (remembered.size < MOST_REMEMBERED) {
        remembered.set(range, version2);
    }
    return version2;
}
