/**
 * The shapes of an image: the raw record as the database keeps it, and its parts (manifest.md §1 and §3).
 *
 * Rules about them live in lib/images; this file is only names, so that every layer can speak of an image.
 */

export const STORAGE_TYPES = ['local', 'manta', 's3'] as const;
/** A kind of storage that can hold files; the value of `files[].stor`. */
export type StorageType = (typeof STORAGE_TYPES)[number];

export const COMPRESSIONS = ['gzip', 'bzip2', 'xz', 'none'] as const;

export const IMAGE_TYPES = ['zone-dataset', 'zvol', 'lx-dataset', 'lxd', 'docker', 'other'] as const;
export const IMAGE_OSES = ['smartos', 'linux', 'windows', 'bsd', 'illumos', 'other'] as const;
export const IMAGE_STATES = ['active', 'unactivated', 'disabled', 'failed', 'creating'] as const;
export type ImageState = (typeof IMAGE_STATES)[number];

/** The type and os of a placeholder, while the real ones are not known (manifest.md §1). */
export const PLACEHOLDER_VALUE = 'null';

export const UNSET_OWNER_UUID = '00000000-0000-0000-0000-000000000000';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for a uuid as images have it: lower-case hex only. */
export function isUuid(value: unknown): value is string {
    return typeof value === 'string' && UUID.test(value);
}

/** A stored image file. `size` in bytes, `sha1` in lower-case hex, `contentMD5` in base64, `mtime` in ISO form. */
export interface RawFile {
    sha1: string;
    size: number;
    contentMD5?: string;
    mtime?: string;
    stor: StorageType;
    compression: string;
    dataset_guid?: string;
    digest?: string;
    uncompressedDigest?: string;
    sha256?: string;
    /** Name of the stored object within the image's folder; absent means `file<index>`. Never served. */
    object?: string;
}

/** A stored icon; fields as in {@link RawFile}. */
export interface RawIcon {
    sha1?: string;
    size: number;
    contentType: string;
    contentMD5: string;
    mtime?: string;
    stor?: StorageType;
    /** Name of the stored object within the image's folder; absent means `icon`. Never served. */
    object?: string;
}

/**
 * The raw record of an image, as it is stored.
 *
 * Old records may lack fields or carry keys nobody knows any more; both are kept as they are. `activated`,
 * `disabled` and `public` may be the strings 'true' and 'false'. Treat a record that was read as immutable.
 */
export interface RawImage {
    v: number;
    uuid: string;
    owner: string;
    name: string;
    version: string;
    type: string;
    os: string;
    public: boolean | string;
    disabled: boolean | string;
    activated: boolean | string;
    state: string;
    acl?: string[];
    description?: string;
    homepage?: string;
    eula?: string;
    urn?: string;
    icon?: RawIcon;
    error?: unknown;
    requirements?: Record<string, unknown>;
    users?: unknown[];
    traits?: Record<string, unknown>;
    /** Search form of the tags: `key=value` strings. */
    tags?: string[];
    /** The tags as served. */
    tagsObj?: Record<string, unknown>;
    billing_tags?: string[];
    generate_passwords?: boolean | string;
    inherited_directories?: string[];
    origin?: string;
    channels?: string[];
    nic_driver?: string;
    disk_driver?: string;
    cpu_type?: string;
    image_size?: number;
    published_at?: string;
    /** Placeholders only: when the purge may take them. */
    expires_at?: string;
    files?: RawFile[];
    /** Uuid of the job that imported the image, so that it takes back only what it made itself. Never served. */
    import_job?: string;
    [key: string]: unknown;
}

/** The boolean a raw record means: booleans are kept, the string 'true' counts as true. */
export function rawBoolean(value: unknown): boolean {
    return value === true || value === 'true';
}
