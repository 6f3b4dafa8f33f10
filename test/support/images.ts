/** Raw records for tests, and a repeatable source of chance. */
import type { RawImage } from '../../lib/manifest';

/** A valid uuid made of a number. */
export function testUuid(n: number): string {
    const hex = n.toString(16).padStart(12, '0');
    return `${hex.slice(-8)}-0000-4000-8000-${hex}`;
}

/** The record of an active image; `fields` replace its own. */
export function testImage(n: number, fields: Partial<RawImage> = {}): RawImage {
    return {
        v: 2,
        owner: testUuid(900),
        name: `image-${n}`,
        version: '1.0.0',
        type: 'zone-dataset',
        os: 'smartos',
        public: true,
        disabled: false,
        activated: true,
        state: 'active',
        acl: [],
        uuid: testUuid(n),
        published_at: new Date(Date.UTC(2015, 0, 1, 0, 0, n)).toISOString(),
        ...fields,
    };
}

/** A generator of numbers in [0, 1) that gives the same ones for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
    let state = seed;
    return () => {
        state = (state + 0x6d2b79f5) | 0;
        let t = Math.imul(state ^ (state >>> 15), 1 | state);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
}

/** The record without one of its fields. */
export function without(raw: RawImage, field: keyof RawImage): RawImage {
    return Object.fromEntries(Object.entries(raw).filter(([key]) => key !== field)) as RawImage;
}
