/** Which platform a compute node runs, and whether that will do (vm-images.md §2). */
import type { ComputeNode } from '../dc/driver';

/** Of a node that does not tell. */
const OLDEST_VERSION = [6, 5];

/** `7.0` as numbers; undefined if it is nothing of that form. */
function numbersOf(version: string | undefined): number[] | undefined {
    return version !== undefined && /^\d+(\.\d+)*$/.test(version)
        ? version.split('.').map(Number)
        : undefined;
}

/** Whether a node is older than an SDC version with the stamp of a platform. */
export function isOlder(
    { sdcVersion, platform = '' }: ComputeNode,
    [leastVersion, leastPlatform]: readonly [version: string, platform: string],
): boolean {
    const version = numbersOf(sdcVersion) ?? OLDEST_VERSION;
    const least = numbersOf(leastVersion) ?? OLDEST_VERSION;
    const length = Math.max(version.length, least.length);
    for (let at = 0; at < length; at++) {
        const difference = (version[at] ?? 0) - (least[at] ?? 0);
        if (difference !== 0) {
            return difference < 0;
        }
    }
    return platform < leastPlatform;
}
