/** Databases full of images, such as a public repository has. Image n is as large in all of them. */
import { createHash, randomUUID } from 'node:crypto';
import { openDatabase } from '../lib/db/index';
import type { RawImage } from '../lib/manifest';

/** Images written in one commit. */
const BATCH = 1000;

/** Images that share a word, an owner or a role: some more than a filtered list is asked for. */
const ALIKE = 125;

/** [type, os] of the images, those that there are many of more than once. */
const KINDS = [
    ['zone-dataset', 'smartos'],
    ['zone-dataset', 'smartos'],
    ['zone-dataset', 'smartos'],
    ['lx-dataset', 'linux'],
    ['lx-dataset', 'linux'],
    ['zvol', 'linux'],
    ['zvol', 'linux'],
    ['zvol', 'windows'],
    ['zvol', 'bsd'],
    ['zvol', 'illumos'],
    ['zvol', 'other'],
    ['docker', 'linux'],
    ['docker', 'linux'],
    ['docker', 'linux'],
    ['docker', 'windows'],
    ['other', 'other'],
    ['other', 'linux'],
    ['other', 'bsd'],
    ['lxd', 'linux'],
    ['other', 'illumos'],
] as const;

const CONSONANTS = 'bdfgklmnprstvz';
const VOWELS = 'aeiou';
const SYLLABLES = CONSONANTS.length * VOWELS.length;

function syllable(n: number): string {
    const index = n % SYLLABLES;
    return `${CONSONANTS[Math.floor(index / VOWELS.length)] ?? ''}${VOWELS[index % VOWELS.length] ?? ''}`;
}

/** A word of six letters that is part of no other one. */
function word(n: number): string {
    return syllable(n % SYLLABLES) + syllable(Math.floor(n / SYLLABLES) + 7) + syllable(n + 31);
}

const hash = (text: string): Buffer => createHash('sha256').update(text).digest();

function uuidOf(bytes: Buffer): string {
    const hex = bytes.toString('hex', 0, 16);
    return [
        hex.slice(0, 8),
        hex.slice(8, 12),
        `4${hex.slice(13, 16)}`,
        `8${hex.slice(17, 20)}`,
        hex.slice(20),
    ].join('-');
}

export const imageUuid = (n: number): string => uuidOf(hash(`image ${n}`));
const ownerUuid = (n: number): string => uuidOf(hash(`owner ${n}`));

const publishedAt = (n: number): string => new Date(Date.UTC(2012, 0, 1) + n * 60_000).toISOString();

/** How many different words, owners and roles a database of so many images has. */
const variety = (images: number): number => Math.max(1, Math.floor(images / ALIKE));

/** The record of image n of `images`; published a minute after the one before. */
export function record(n: number, images: number): RawImage {
    const bytes = hash(`image ${n}`);
    const choice = (offset: number, of: number) => bytes.readUInt16BE(offset) % of;
    const [type, os] = KINDS[choice(16, KINDS.length)] ?? KINDS[0];
    const subject = word(choice(18, variety(images)));
    const owner = ownerUuid(choice(20, variety(images)));
    const role = word(choice(22, variety(images)));
    const isShared = choice(24, 10) < 2;
    const disabled = choice(26, 50) === 0;
    const published = publishedAt(n);
    const version = `${10 + choice(28, 15)}.${choice(29, 5)}.${choice(30, 10)}`;
    const sha1 = bytes.toString('hex', 0, 20);
    const size = 50_000_000 + choice(16, 65_536) * 10_000;
    return {
        v: 2,
        owner,
        name: `${os}-${subject}-64`,
        version,
        type,
        os,
        public: true,
        disabled,
        activated: true,
        state: disabled ? 'disabled' : 'active',
        acl: isShared ? [ownerUuid(n % variety(images)), ownerUuid((n + 1) % variety(images))] : [],
        uuid: uuidOf(bytes),
        published_at: published,
        description:
            `A 64-bit ${os} image with ${subject} ${version} and the packages needed to install, upgrade and ` +
            'watch it. Suited for production; automatic updates are off.',
        homepage: `https://docs.example.com/images/${subject}`,
        requirements: {
            networks: [{ name: 'net0', description: 'public' }],
            min_platform: { '7.0': '20210826T002459Z' },
        },
        ...(type === 'zvol' && {
            nic_driver: 'virtio',
            disk_driver: 'virtio',
            cpu_type: 'host',
            image_size: 10_240,
        }),
        users: [{ name: 'root' }, { name: 'admin' }],
        tags: [`role=${role}`, `group=${subject}`, 'kernel_version=4.10.0'],
        tagsObj: { role, group: subject, kernel_version: '4.10.0' },
        files: [
            {
                sha1,
                size,
                contentMD5: bytes.toString('base64', 0, 16),
                mtime: published,
                stor: 'local',
                compression: 'gzip',
                object: `file0-${uuidOf(bytes)}`,
            },
        ],
    };
}

/** A kind of list, and query strings for it of which no two ask for the same. */
export interface FilterKind {
    readonly name: string;
    /** The query number n, without `limit`. */
    readonly query: (n: number) => string;
}

/** Lists as clients filter them, each of which finds about {@link ALIKE} images or more. */
export function filterKinds(images: number): FilterKind[] {
    const kinds = [...new Set(KINDS.map(([type, os]) => `os=${os}&type=${type}`))];
    const of = variety(images);
    // So much is found by these that lists from the start would be all of the same images.
    const from = (n: number) => (n * 997) % Math.ceil(images / 2);
    return [
        { name: 'name=~PART', query: (n) => `name=~${word(n % of)}` },
        { name: 'tag.KEY=VALUE', query: (n) => `tag.role=${word(n % of)}` },
        { name: 'owner', query: (n) => `owner=${ownerUuid(n % of)}` },
        {
            name: 'os and type',
            query: (n) => `${kinds[n % kinds.length] ?? ''}&marker=${publishedAt(from(n))}`,
        },
        { name: 'account', query: (n) => `account=${ownerUuid(n % of)}&marker=${publishedAt(from(n))}` },
    ];
}

/** Makes a database of so many images in the data folder. */
export async function seed(dataDir: string, images: number): Promise<void> {
    const quiet = { info: () => undefined, warn: () => undefined };
    const database = await openDatabase({ databaseType: 'local', dataDir, databaseDir: dataDir }, quiet, {
        now: () => Date.now(),
        uuid: randomUUID,
    });
    try {
        for (let first = 0; first < images; first += BATCH) {
            const length = Math.min(BATCH, images - first);
            const put = Array.from({ length }, (_, index) => ({
                raw: record(first + index, images),
                etag: null,
            }));
            await database.images.commit({ put });
        }
    } finally {
        await database.close();
    }
}
