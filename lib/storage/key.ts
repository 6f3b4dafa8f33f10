/** The alphabet of storage keys (see driver.ts): what every driver checks before it touches its backend. */

const SEGMENT = /^[A-Za-z0-9._-]+$/;

/** Whether a name can be one segment of a key. */
export function isKeySegment(name: string): boolean {
    return SEGMENT.test(name) && name !== '.' && name !== '..';
}

/** @throws TypeError if the key is not segments of `[A-Za-z0-9._-]`, none `.` or `..`, joined by `/`. */
export function assertKey(key: string): void {
    if (!key.split('/').every(isKeySegment)) {
        throw new TypeError(
            `"${key}" is not a storage key: it must be segments of letters, digits, ".", "_" and "-" joined by "/".`,
        );
    }
}

/** @throws TypeError if the prefix is not a key followed by `/`. */
export function assertPrefix(prefix: string): void {
    if (!prefix.endsWith('/')) {
        throw new TypeError(`"${prefix}" is not a storage prefix: it must end with "/".`);
    }
    assertKey(prefix.slice(0, -1));
}
