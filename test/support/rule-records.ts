/** Records to hold against the image rules, and what those tests look at in an error. */
import assert from 'node:assert/strict';
import { ApiError } from '../../lib/errors';
import type { RawImage } from '../../lib/manifest';

export const UUID = '01b2c898-945f-11e1-a523-af1afbe22822';
export const OTHER_UUID = '7ecc9b5c-2f6a-4b0e-8d2a-7b1f4a3a5a10';
export const OWNER = '930896af-bf8c-48d4-885c-6573a94b1853';
export const ACCOUNT = '352971aa-31ba-496c-9ade-a379feaecd52';
export const FILE_SHA1 = 'a'.repeat(40);

/** A valid record of an unactivated image of a datacenter, with some fields changed; undefined leaves one out. */
export function rawImage(changes: Record<string, unknown> = {}): RawImage {
    const raw: Record<string, unknown> = {
        v: 2,
        owner: OWNER,
        name: 'base',
        version: '1.0.0',
        type: 'zone-dataset',
        os: 'smartos',
        public: false,
        disabled: false,
        activated: false,
        state: 'unactivated',
        acl: [],
        uuid: UUID,
        ...changes,
    };
    const known = Object.entries(raw).filter(([, value]) => value !== undefined);
    return Object.fromEntries(known) as RawImage;
}

/** As {@link rawImage}, for an activated image with a file. */
export function activatedImage(changes: Record<string, unknown> = {}): RawImage {
    return rawImage({
        activated: true,
        state: 'active',
        published_at: '2024-01-31T12:00:00.000Z',
        files: [
            { sha1: FILE_SHA1, size: 10, contentMD5: 'x', mtime: 'm', stor: 'local', compression: 'gzip' },
        ],
        ...changes,
    });
}

/** The object without some of its members. */
export function without(object: Record<string, unknown>, ...keys: string[]): Record<string, unknown> {
    return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

/** Code, status and `errors` (as `field code`) of the ApiError that is thrown. */
export function thrown(action: () => unknown): { code: string; status: number; errors: string[] } {
    try {
        action();
    } catch (err) {
        assert.ok(err instanceof ApiError, `an ApiError is thrown, not ${String(err)}`);
        assert.notEqual(err.message, '');
        return {
            code: err.code,
            status: err.status,
            errors: (err.errors ?? []).map(({ field, code }) => `${field} ${code}`),
        };
    }
    assert.fail('nothing is thrown');
}
