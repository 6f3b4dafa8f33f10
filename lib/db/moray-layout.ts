/** The bucket of images: how Moray's client made it (moray.md §1.3), and what of it a database really has. */
import { fieldsOf, type Field } from './moray-client/fields';
import type { Bucket, BucketConfig, IndexType } from './moray-client/types';

export const IMAGES_BUCKET = 'imgapi_images';
/** The bucket's table, as it stands in statements. */
export const IMAGES_TABLE = IMAGES_BUCKET;

export const IMAGES_CONFIG = {
    index: {
        uuid: { type: 'string', unique: true },
        name: { type: 'string' },
        version: { type: 'string' },
        owner: { type: 'string' },
        origin: { type: 'string' },
        state: { type: 'string' },
        urn: { type: 'string', unique: true },
        tags: { type: '[string]' },
        billing_tags: { type: '[string]' },
        acl: { type: '[string]' },
        activated: { type: 'boolean' },
        disabled: { type: 'boolean' },
        public: { type: 'boolean' },
        os: { type: 'string' },
        type: { type: 'string' },
        expires_at: { type: 'string' },
        published_at: { type: 'string' },
    },
} as const satisfies BucketConfig;

/** The types with which statements take columns. Nobody is known to have indexed channels, but one may. */
const TYPES: Readonly<Record<string, IndexType>> = {
    ...Object.fromEntries(Object.entries(IMAGES_CONFIG.index).map(([field, { type }]) => [field, type])),
    channels: '[string]',
};

/** What the table of a bucket has to offer. */
export class ImagesLayout {
    /** Columns that a write sets. */
    readonly written: readonly Field[];
    /** Of them those that are read: they are filled. */
    readonly fields: readonly Field[];
    readonly #usable: ReadonlySet<string>;

    /** @param isBytewise whether the database itself orders text by its bytes */
    constructor(
        readonly bucket: Bucket,
        private readonly isBytewise: boolean,
    ) {
        this.written = [...fieldsOf(bucket).values()].filter(({ exists }) => exists);
        this.fields = this.written.filter(({ isReindexing }) => !isReindexing);
        this.#usable = new Set(
            this.fields.filter(({ name, type }) => TYPES[name] === type).map(({ name }) => name),
        );
    }

    /** Whether a statement may ask for the field's column: it is there, is filled, and has the type it should have. */
    isUsable(field: string): boolean {
        return this.#usable.has(field);
    }

    /** A text column in expressions that order it. Only with the database's own collation they fit Moray's indexes. */
    ordered(column: string): string {
        return this.isBytewise ? column : `${column} COLLATE "C"`;
    }
}
